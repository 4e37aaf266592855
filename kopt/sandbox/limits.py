"""Who a runner is and what it may use."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Role(enum.StrEnum):
    """What a runner is for, which decides what it can see and do."""

    REFERENCE = "reference"
    CANDIDATE = "candidate"
    BUILDER = "builder"
    PROGRAM = "program"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Ceilings for one runner.

    ``memory_bytes``: what it may add to what the zygote maps (address space, and resident memory where a
    control group is writable). ``shared_bytes``: address space for the judge's rings on top. ``processes``:
    processes and threads. ``file_bytes``: the largest file. ``scratch_bytes``: its private temporary file
    system. ``output_bytes``: how much of its standard output is kept; the rest is discarded unread.
    ``shadow``: room for a sanitizer, which maps terabytes it hardly touches at fixed places: no ceiling on address
    space, no randomised addresses. Whoever asks for it watches what is resident.
    """

    memory_bytes: int = 8 << 30
    shared_bytes: int = 8 << 30
    processes: int = 256
    file_bytes: int = 2 << 30
    scratch_bytes: int = 2 << 30
    output_bytes: int = 1 << 20
    cpu_seconds: int | None = None
    shadow: bool = False
