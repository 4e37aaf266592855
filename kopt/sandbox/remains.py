"""What is in and around a sandbox that belongs to no living runner: once a runner has ended, nothing may be."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

_PRIVATE = (".kopt/scratch", "dev/shm")


def zygote_of(runner: int) -> int:
    """The parent of a runner, as this process sees it; 0 when the runner is gone."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{runner}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def processes_left(zygote: int, living: Collection[int]) -> list[str]:
    """The zygote's children that are no living runner. Whatever a runner starts stays below it or is inherited here."""
    found = []
    with contextlib.suppress(OSError):
        for pid in map(int, Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()):
            if pid not in living:
                found.append(f"process {pid}")
    return found


def files_left(zygote: int) -> list[str]:
    """Files in the zygote's own scratch and shared memory: runners have their own in front of them."""
    found = []
    for place in _PRIVATE:
        with contextlib.suppress(OSError):
            found += [f"/{place}/{path.name}" for path in Path(f"/proc/{zygote}/root", place).iterdir()]
    return found
