"""Python's compiled files for what runs inside sandboxes, made outside: nothing in there can write them.

Without them every zygote and every reference would compile some eighty files again, half a second each time. An
installed wheel has them already; a clone has them from its first run on.
"""

from __future__ import annotations

import contextlib
import sys
from importlib.util import cache_from_source

from kopt.sandbox import places

_INSIDE = ("sandbox/runner", "problems", "words")


def prepare() -> None:
    """Compile what has changed since it was compiled; where nothing can be written, nothing is."""
    if sys.dont_write_bytecode:
        return
    package = places.package_directory()
    stale = []
    for path in (p for folder in _INSIDE for p in (package / folder).rglob("*.py")):
        with contextlib.suppress(OSError):
            source = path.stat()
            try:
                with open(cache_from_source(str(path)), "rb") as file:  # noqa: PTH123
                    header = file.read(16)
            except OSError:
                header = b""
            # What the import system compares: after four bytes of magic and four of flags, time and size.
            kept = int(source.st_mtime) & 0xFFFFFFFF, source.st_size & 0xFFFFFFFF
            if header[8:] != b"".join(number.to_bytes(4, "little") for number in kept):
                stale.append(path)
    if not stale:
        return
    import py_compile

    for path in stale:
        with contextlib.suppress(OSError, py_compile.PyCompileError):
            py_compile.compile(str(path), doraise=True)
