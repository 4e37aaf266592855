"""Who works on a run: one process at a time, known by machine, pid and start time, renewed by a heartbeat.

A dead process's lease on the same machine is taken over at once (its pid and start time are looked up); one
from another machine has to expire. Every write carries the lease's fence, so that a process which was thought
dead and wakes up again cannot write into a run that another has taken over.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

HEARTBEAT_SECONDS = 5.0
LEASE_SECONDS = 30.0


def _start_time(pid: int) -> str | None:
    """The kernel's start time of a live process, or None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]


def _machine() -> str:
    """Name the pid space: host, boot and pid namespace, for pids mean something only within it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        space = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        boot, space = "", ""
    return f"{socket.gethostname()}/{boot}/{space}"


def this_process() -> str:
    """The owner string of this process."""
    pid = os.getpid()
    return f"{_machine()} {pid} {_start_time(pid) or ''}"


def is_gone(owner: str, until: float) -> bool:
    """Whether the owner can no longer be working: known to be dead, or its lease expired."""
    machine, _, rest = owner.rpartition(" ")[0].rpartition(" ")
    started = owner.rpartition(" ")[2]
    if machine == _machine() and rest.isdigit() and _start_time(int(rest)) != (started or None):
        return True
    return until < time.time()


class Lease:
    """A run held by this process. Use as a context manager; ``lost`` turns true when someone took it over."""

    def __init__(
        self, run: str, fence: int, renew: Callable[[Lease], bool], release: Callable[[Lease], None]
    ) -> None:
        self.run = run
        self.fence = fence
        self.lost = False
        self._renew = renew
        self._release = release
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{run}", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            try:
                if not self._renew(self):
                    self.lost = True
                    return
            except Exception:  # a busy or unreachable database: the next beat tries again
                continue

    def close(self) -> None:
        """Give the run back."""
        self._stop.set()
        self._thread.join(timeout=10)
        if not self.lost:
            self._release(self)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
