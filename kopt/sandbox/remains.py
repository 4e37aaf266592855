"""What is in and around a sandbox that belongs to no living runner: once a runner has ended, nothing may be."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection
from pathlib import Path

_PRIVATE = (".kopt/scratch", "dev/shm")
_ENDED_WITHIN, _REAPED_WITHIN = 0.5, 5.0  # seconds


def zygote_of(runner: int) -> int:
    """The parent of a runner, as this process sees it; 0 when the runner is gone."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{runner}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def _state(pid: int) -> str:
    """One letter as in proc(5): ``Z`` has ended and waits to be reaped; empty when it is gone."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def _children(zygote: int, living: Collection[int]) -> list[int]:
    with contextlib.suppress(OSError):
        told = Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()
        return [pid for pid in map(int, told) if pid not in living]
    return []


def processes_left(zygote: int, living: Collection[int]) -> list[str]:
    """The zygote's children that are no living runner. Whatever a runner starts stays below it or is inherited here.

    One that is ending is given time to end, and then to be reaped: the judge hears of the end no later than the zygote
    does, and before the kernel is done with it.
    """
    begun = time.monotonic()
    while left := _children(zygote, living):
        lives = any(_state(pid) not in ("", "Z") for pid in left)
        if time.monotonic() > begun + (_ENDED_WITHIN if lives else _REAPED_WITHIN):
            break
        time.sleep(0.01)
    return [f"process {pid}" for pid in left]


def files_left(zygote: int) -> list[str]:
    """Files in the zygote's own scratch and shared memory: runners have their own in front of them."""
    found = []
    for place in _PRIVATE:
        with contextlib.suppress(OSError):
            found += [f"/{place}/{path.name}" for path in Path(f"/proc/{zygote}/root", place).iterdir()]
    return found
