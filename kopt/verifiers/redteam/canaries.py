"""Things planted where a candidate must not reach, and a look at them afterwards.

Attacks name them by marks that are replaced in their text:

``@SECRET_FILE@``      a file in kopt's home whose content nobody but the judge may know
``@SECRET_FILES@``     that and others of the same content, with colons between: in the library, the build cache, the
                       user's home and beside the user's keys in ``~/.ssh`` (:mod:`~kopt.verifiers.redteam.planted`)
``@DATABASE@``         kopt's database, of which a row has that content
``@SIBLING_NAME@``     a file of that content in scratch and shared memory of a candidate that lives beside the attack
                       (:mod:`~kopt.verifiers.redteam.sibling`)
``@SECRET_VARIABLE@``  an environment variable of the judge with the same content
``@HOME@``             kopt's home, ``@USER_HOME@`` the user's
``@TOKEN@``            a word to put into the name or content of whatever is to be left behind; ``@KEY@`` a number
``@TCP_PORT@`` ...     doors to knock on (:mod:`~kopt.verifiers.redteam.doors`)

Whatever an evaluation records is searched for the secret, what was planted must stay as it is, nobody may have knocked,
and nothing named or marked with the token may lie anywhere a candidate could have got to. ``got through: @TOKEN@`` in
a record counts as well: an attack's own word is believed when it is the worse for us.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from kopt.sandbox import Sandbox
from kopt.settings import Settings
from kopt.verifiers.redteam import trees
from kopt.verifiers.redteam.doors import Doors
from kopt.verifiers.redteam.planted import Planted
from kopt.verifiers.redteam.sibling import Sibling
from kopt.words import Evaluation, to_json


class Canaries:
    """The planted things; a context manager that removes them."""

    def __init__(self, settings: Settings) -> None:
        self._secret = f"canary-{secrets.token_hex(16)}"
        self._variable = "KOPT_REDTEAM_CANARY"
        self._token = secrets.token_hex(6)
        self._settings = settings
        self._home = Path(settings.home)
        self._key = secrets.randbits(30) | 1
        self._sibling = f"redteam-{secrets.token_hex(4)}.key"
        self._planted: Planted | None = None
        self._doors: Doors | None = None
        self.names: dict[str, str] = {}

    def __enter__(self) -> Canaries:
        self._planted = planted = Planted(self._settings, self._secret)
        os.environ[self._variable] = self._secret
        self._doors = Doors(Path(tempfile.gettempdir()), self._token)
        self.names = {
            "@SECRET_FILE@": str(planted.file),
            "@SECRET_FILES@": ":".join(map(str, planted.files)),
            "@DATABASE@": str(planted.database or self._home / "kopt.db"),
            "@SIBLING_NAME@": self._sibling,
            "@SECRET_VARIABLE@": self._variable,
            "@HOME@": str(self._home),
            "@USER_HOME@": str(Path.home()),
            "@TOKEN@": self._token,
            "@KEY@": str(self._key),
            **self._doors.names,
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.environ.pop(self._variable, None)
        if self._planted is not None:
            self._planted.remove()
        if self._doors is not None:
            self._doors.close()

    def sibling(self, sandbox: Sandbox) -> Sibling:
        """A candidate in that sandbox that keeps the secret in its scratch for as long as it lives."""
        return Sibling(sandbox, self._sibling, self._secret)

    def harm(self, evaluation: Evaluation) -> str:
        """What an attack did to them, in one line; empty when nothing."""
        record = json.dumps(to_json(evaluation), default=str)
        if self._secret in record:
            return "it read a secret of the judge's and told it"
        if f"got through: {self._token}" in record:
            return "it says that it got through"
        changed = self._planted.changed() if self._planted else ""
        if changed:
            return f"it changed {changed}"
        door = self._doors.knocked() if self._doors else ""
        if door:
            return f"it reached a socket of this machine ({door})"
        return self.left()

    def left(self, *, deep: bool = False) -> str:
        """The first thing on this machine that carries the token, in one line; empty when nothing does.

        ``deep`` looks below the usual folders as well, which takes up to half a second.
        """
        return next((f"it left {trace}" for trace in self._traces(deep)), "")

    def _traces(self, deep: bool) -> Iterator[str]:
        for place, depth in (trees.deep if deep else trees.shallow)(self._home).items():
            yield from trees.named(self._token, place, depth)
        for table in ("shm", "msg", "sem"):
            with contextlib.suppress(OSError):
                lines = Path("/proc/sysvipc", table).read_text().splitlines()[1:]
                yield from (
                    f"a System V {table} segment" for line in lines if line.split()[0] == str(self._key)
                )
        with contextlib.suppress(OSError):
            if self._token in Path("/proc/keys").read_text():
                yield "a key in the kernel's keyring"
        for process in Path("/proc").glob("[0-9]*/comm"):
            with contextlib.suppress(OSError):
                if self._token in process.read_text():
                    yield f"the process {process.parent.name}"
