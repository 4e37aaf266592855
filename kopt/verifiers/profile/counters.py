"""The processor's own counters for a runner, asked for from outside it; many machines have none or forbid them.

The runner may not count itself (its seccomp filter refuses ``perf_event_open``). The judge opens the events on the
runner's threads, user mode only, inherited by threads started later: see perf_event_open(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Mapping, Sequence
from types import TracebackType

from kopt.sandbox import processes

HARDWARE = {
    "cycles": (0, 0),
    "instructions": (0, 1),
    "cache_references": (0, 2),
    "cache_misses": (0, 3),
    "branch_misses": (0, 5),
}
"""Names, with ``type`` and ``config`` of perf_event_attr."""
_CALL = {"x86_64": 298, "aarch64": 241}
_ATTRIBUTES, _CLOSE_ON_EXEC = 112, 8
_INHERIT, _NO_KERNEL, _NO_HYPERVISOR = 1 << 1, 1 << 5, 1 << 6
_TIMES = 1 | 2
_FORBIDDEN = (errno.EACCES, errno.EPERM)


class Counters:
    """A context manager; :attr:`why` says in one line why there are none."""

    def __init__(self, pid: int, events: Mapping[str, tuple[int, int]] = HARDWARE) -> None:
        self.why = ""
        self._files: dict[str, list[int]] = {}
        for name, (kind, config) in events.items():
            for task in processes.thread_seconds(pid) or {pid: 0.0}:
                fd = self._open(kind, config, task)
                if fd >= 0:
                    self._files.setdefault(name, []).append(fd)

    def _open(self, kind: int, config: int, task: int) -> int:
        number = _CALL.get(platform.machine())
        if number is None:
            self.why = f"hardware counters are not read on {platform.machine()}"
            return -1
        flags = _INHERIT | _NO_KERNEL | _NO_HYPERVISOR
        words = struct.pack("IIQQQQQ", kind, _ATTRIBUTES, config, 0, 0, _TIMES, flags)
        attributes = ctypes.create_string_buffer(words, _ATTRIBUTES)
        libc = ctypes.CDLL(None, use_errno=True)
        fd = int(libc.syscall(number, ctypes.byref(attributes), task, -1, -1, _CLOSE_ON_EXEC))
        if fd < 0:
            code = ctypes.get_errno()
            self.why = (
                "hardware counters are forbidden here (kernel.perf_event_paranoid, or a container's filter)"
                if code in _FORBIDDEN
                else f"this machine has no hardware counters ({os.strerror(code)})"
            )
        return fd

    def read(self) -> dict[str, float]:
        """Counts so far, scaled up where the processor had to share its counters."""
        return {name: sum(map(_scaled, files)) for name, files in self._files.items()}

    def __enter__(self) -> Counters:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for files in self._files.values():
            _close(files)
        self._files.clear()


def _scaled(fd: int) -> float:
    value, enabled, running = struct.unpack("QQQ", os.read(fd, 24))
    return float(value * enabled / running) if running else 0.0


def _close(files: Sequence[int]) -> None:
    for fd in files:
        os.close(fd)
