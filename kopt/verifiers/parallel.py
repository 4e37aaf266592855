"""Use the judge's cores for a pass over a large array: numpy releases the interpreter lock meanwhile.

What is spread must not call BLAS (``np.dot``): its own threads and these would wait for each other.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(8, len(os.sched_getaffinity(0))), thread_name_prefix="kopt-judge")


def spans(size: int, length: int) -> list[tuple[int, int]]:
    """Cut ``range(size)`` into ``(start, stop)`` pieces of ``length``."""
    return [(start, min(size, start + length)) for start in range(0, size, length)]


def spread(work: Callable[[int, int], Result], pieces: list[tuple[int, int]]) -> Iterable[Result]:
    """Call ``work(start, stop)`` for every piece on the pool, results in order."""
    if len(pieces) <= 1:
        return [work(*piece) for piece in pieces]
    return _pool().map(lambda piece: work(*piece), pieces)
