"""Memory the judge owns and shares with one runner: a memfd, sealed against change of size."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_F_ADD_SEALS = 1033
_PIECE = 1 << 26  # bytes read at once
_SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW, _SEAL_FUTURE_WRITE = 1, 2, 4, 16


@contextlib.contextmanager
def memory_file(data: bytes, name: str) -> Iterator[int]:
    """A descriptor of a file in memory that holds ``data``, for a runner to read."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        yield fd
    finally:
        os.close(fd)


def first_bytes(fd: int, size: int) -> bytes:
    """The first ``size`` bytes of a file, wherever its offset stands; fewer where it has no more."""
    parts, offset = [], 0
    while offset < size:
        part = os.pread(fd, min(size - offset, _PIECE), offset)
        if not part:
            break
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


class SharedBuffer:
    """``size`` bytes of shared memory, resident from the start, mapped here as ``array``."""

    def __init__(self, size: int, name: str = "") -> None:
        import numpy as np  # here: a sandbox that is opened before anything else begins to import torch at once

        self.size = size
        self.fd = os.memfd_create(name or "kopt", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self._sealed = False
        try:
            os.ftruncate(self.fd, max(size, 1))
            fcntl.fcntl(self.fd, _F_ADD_SEALS, _SEAL_SHRINK | _SEAL_GROW)
            # Populated by the judge: the pages are charged to it, and neither side meets page faults in a
            # round.
            self._map = mmap.mmap(self.fd, max(size, 1), flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        except BaseException:
            os.close(self.fd)
            raise
        self.array: npt.NDArray[np.uint8] = np.frombuffer(self._map, dtype=np.uint8, count=size)

    @contextlib.contextmanager
    def lent(self, *, writable: bool = True) -> Iterator[int]:
        """A descriptor for one runner: what the last one set on the file, its offset, locks, mode or times, is gone.

        Once lent read-only, nobody new can get a writable view, not even by reopening the descriptor; mappings that
        exist (the judge's, and that of the runner which filled the buffer) stay writable.
        """
        if not writable and not self._sealed:
            fcntl.fcntl(self.fd, _F_ADD_SEALS, _SEAL_FUTURE_WRITE | _SEAL_SEAL)
            self._sealed = True
        os.fchmod(self.fd, 0o600)
        os.utime(self.fd, (0, 0))
        mode = os.O_RDWR if writable else os.O_RDONLY
        fd = os.open(f"/proc/self/fd/{self.fd}", mode | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    def close(self) -> None:
        """Give the memory back. Views of ``array`` that are still held keep the mapping until they go."""
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd = -1
        self.array = self.array[:0].copy()
        with contextlib.suppress(BufferError):
            self._map.close()

    def __enter__(self) -> SharedBuffer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def seal_for_candidate(fd: int) -> None:
    """Forbid further seals on a memfd, so that the runner it goes to cannot spoil it for the next one."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, _F_ADD_SEALS, _SEAL_SEAL)
