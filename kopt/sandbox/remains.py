"""What is in and around a sandbox that belongs to no living runner: once a runner has ended, nothing may be."""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path

_PRIVATE = (".kopt/scratch", "dev/shm")
# What container engines mount and unmount for containers of other people, at any time.
_OF_ENGINES = re.compile(r"^(overlay|nsfs|autofs) | on \S*(docker|container|overlay2|netns)")
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


def mounts(pid: int | str) -> Counter[str]:
    """What a process (``self``: this one) sees mounted, a line each: kind, source, place and options."""
    found: Counter[str] = Counter()
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            root, place, options = before.split(" ")[3:6]
            kind, source = after.split(" ")[:2]
            found[f"{kind} {source}{root} on {place} ({options})"] += 1
    return found


def mounts_of_machine() -> Counter[str]:
    """This machine's mounts, without those that container engines make and take away for others."""
    seen = mounts("self")
    return Counter({line: count for line, count in seen.items() if not _OF_ENGINES.search(line)})
