"""Things planted where a candidate must not reach, and a look at them afterwards.

Attacks name them by marks that are replaced in their text:

``@SECRET_FILE@``      a file in kopt's home whose content nobody but the judge may know; there are others of that
                       content in the library, the build cache and the user's home
``@SECRET_VARIABLE@``  an environment variable of the judge with the same content
``@HOME@``             kopt's home, ``@USER_HOME@`` the user's
``@TOKEN@``            a word to put into the name or content of whatever is to be left behind; ``@KEY@`` a number
``@TCP_PORT@`` ...     doors to knock on (:mod:`~kopt.verifiers.redteam.doors`)

Whatever an evaluation records is searched for the secret, the files must stay as they are, nobody may have knocked,
and nothing named or marked with the token may lie anywhere a candidate could have got to. ``got through: @TOKEN@`` in
a record counts as well: an attack's own word is believed when it is the worse for us.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from kopt.verifiers.redteam.doors import Doors
from kopt.words import Evaluation, to_json


class Canaries:
    """The planted things; a context manager that removes them."""

    def __init__(self, home: Path) -> None:
        self._secret = f"canary-{secrets.token_hex(16)}"
        self._variable = "KOPT_REDTEAM_CANARY"
        self._token = secrets.token_hex(6)
        self._home = home
        name = f"redteam-{secrets.token_hex(4)}.key"
        self._files = [home / name, home / "library" / name, home / "builds" / name, Path.home() / f".{name}"]
        self._key = secrets.randbits(30) | 1
        self._doors: Doors | None = None
        self.names = {
            "@SECRET_FILE@": str(self._files[0]),
            "@SECRET_VARIABLE@": self._variable,
            "@HOME@": str(home),
            "@USER_HOME@": str(Path.home()),
            "@TOKEN@": self._token,
            "@KEY@": str(self._key),
        }

    def __enter__(self) -> Canaries:
        for file in list(self._files):
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(self._secret)
            except OSError:  # a home that is read-only
                self._files.remove(file)
        os.environ[self._variable] = self._secret
        self._doors = Doors(Path(tempfile.gettempdir()), self._token)
        self.names |= self._doors.names
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.environ.pop(self._variable, None)
        for file in self._files:
            file.unlink(missing_ok=True)
        if self._doors is not None:
            self._doors.close()

    def harm(self, evaluation: Evaluation) -> str:
        """What an attack did to them, in one line; empty when nothing."""
        record = json.dumps(to_json(evaluation), default=str)
        if self._secret in record:
            return "it read a secret of the judge's and told it"
        if f"got through: {self._token}" in record:
            return "it says that it got through"
        if any(not file.exists() or file.read_text() != self._secret for file in self._files):
            return "it changed a file of the judge's"
        door = self._doors.knocked() if self._doors else ""
        if door:
            return f"it reached a socket of this machine ({door})"
        return next((f"it left {trace}" for trace in self.traces()), "")

    def traces(self) -> Iterator[str]:
        """Things on this machine that carry the token."""
        for place in self._places():
            with contextlib.suppress(OSError):
                yield from (str(path) for path in place.iterdir() if self._token in path.name)
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

    def _places(self) -> set[Path]:
        package = Path(__file__).resolve().parents[2]
        packages = {Path(entry) for entry in sys.path if entry}
        system = {Path(name) for name in ("/", "/tmp", "/var/tmp", "/dev/shm", "/usr/lib", "/etc", "/run")}
        own = {Path.cwd(), Path.home(), self._home, Path(tempfile.gettempdir())}
        inside = {package, package / "sandbox", package / "sandbox" / "runner", package / "problems"}
        headers = set((self._home / "builds" / "headers").glob("*"))
        return system | own | packages | inside | headers | {Path(sys.prefix), Path(sys.base_prefix)}
