"""The files in what a builder packed (``runner/toolchains/extension.py``), read from bytes that may be forged.

Not by ``tarfile``, which knows sparse files, links, three dialects and compression: only what ``pack`` writes is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_BLOCK = 512
_MOST = 128
_SIZE = re.compile(rb"[0-7]{11}\0")
_LONG_NAME = re.compile(rb"([1-9]\d{0,3}) path=[^\n]{1,4000}\n")


def files(data: memoryview) -> Iterator[memoryview]:
    """The contents of all files, without copying.

    Raises:
        ValueError: it is no plain tar file, or has too many members.
    """
    at = 0
    for _ in range(_MOST):
        head = data[at : at + _BLOCK].tobytes()
        if not head.strip(b"\0"):
            return
        size, kind, magic = head[124:136], head[156:157], head[257:263]
        if len(head) < _BLOCK or magic != b"ustar\0" or not _SIZE.fullmatch(size):
            raise ValueError("no plain tar file")
        begin = at + _BLOCK
        end = begin + int(size[:11], 8)
        if end > len(data):
            raise ValueError("a file ends too early")
        if kind == b"0":
            yield data[begin:end]
        elif kind != b"x" or not _only_names(data[begin:end]):
            raise ValueError("neither a file nor its long name")
        at = end + -end % _BLOCK
    raise ValueError("too many files")


def _only_names(record: memoryview) -> bool:
    """Whether an extended header holds a name and nothing else: it could also say another size."""
    found = _LONG_NAME.fullmatch(record)
    return found is not None and int(found[1]) == len(record)
