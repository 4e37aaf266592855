"""Look for a name in whole trees of folders, as deep as is worth the time."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[2]


def named(token: str, folder: str | Path, depth: int) -> Iterator[str]:
    """Paths below ``folder`` whose names carry ``token``, at most ``depth`` levels down; follows no link."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if token in entry.name:
                yield entry.path
            elif depth > 1 and entry.is_dir(follow_symlinks=False):
                yield from named(token, entry.path, depth - 1)


def shallow(home: Path) -> Mapping[Path, int]:
    """Folders a candidate might have got to, and how deep to look there: in a few milliseconds."""
    packages = {Path(entry) for entry in sys.path if entry}
    system = {Path(name) for name in ("/", "/tmp", "/var/tmp", "/dev/shm", "/usr/lib", "/etc", "/run")}
    own = {Path.cwd(), Path.home(), home, Path(tempfile.gettempdir())}
    inside = {_PACKAGE, _PACKAGE / "sandbox", _PACKAGE / "sandbox" / "runner", _PACKAGE / "problems"}
    headers = set((home / "builds" / "headers").glob("*"))
    environment = {Path(sys.prefix), Path(sys.base_prefix)}
    return dict.fromkeys(system | own | packages | inside | headers | environment, 1)


def deep(home: Path) -> Mapping[Path, int]:
    """The same folders with what is below them: all of kopt's, three levels elsewhere; takes up to half a second."""
    places = dict.fromkeys(shallow(home), 3) | {Path("/"): 1, Path.cwd(): 2}
    return places | {home: 9, _PACKAGE: 9, Path("/dev/shm"): 9}
