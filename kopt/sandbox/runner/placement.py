"""Where the runner's main thread may run: on one core during rounds, anywhere between them.

OpenMP binds each worker to a core of its own (``OMP_PROC_BIND``). A main thread that may wander wakes on a worker's
core now and then, and the two share that core for a time slice, which costs as much as a hundred small calls.
"""

from __future__ import annotations

import os
from collections.abc import Sequence


class Placement:
    """The main thread's affinity. Starts wherever the zygote's thread was: held."""

    def __init__(self, cores: Sequence[int]) -> None:
        self.cores = list(cores)
        self.held = False
        self._apply(self.cores)

    def _apply(self, cores: Sequence[int]) -> None:
        os.sched_setaffinity(0, cores)

    def hold(self) -> None:
        """Stay on the first core, as OpenMP's first thread."""
        if not self.held:
            self._apply(self.cores[:1])
            self.held = True

    def release(self) -> None:
        """Go anywhere: compilers and threads started now inherit every core."""
        if self.held:
            self._apply(self.cores)
            self.held = False
