"""Where a reference's time goes, operator by operator: the dispatcher trace with a clock around each call.

torch.profiler tells the same with more words and a tracing library of its own; what is wanted here is one figure for
each operator, bounded in number and in time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from . import operators

MOST_CALLS = 50
_SERIES, _TINY = 20, 20


class Timed(operators.Trace):  # type: ignore[no-untyped-call]
    """A trace that also counts the seconds of every operator, those that only make views or memory included."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Call an operator under the clock."""
        began = time.perf_counter_ns()
        result = super().call(func, args, kwargs)
        name = func._schema.name
        self.seconds[name] = self.seconds.get(name, 0.0) + (time.perf_counter_ns() - began) * 1e-9
        return result


def of(function: Callable[[], Any], seconds: float) -> dict[str, Any]:
    """Call ``function`` repeatedly for about so many seconds; ``operators`` and ``seconds`` of one call.

    ``dispatch`` is what the smallest operator takes: the part of every operator that is not its work.
    """
    function()
    best: Timed | None = None
    until = time.perf_counter() + seconds
    for _ in range(MOST_CALLS):
        with Timed() as seen:
            function()
        if best is None or sum(seen.seconds.values()) < sum(best.seconds.values()):
            best = seen
        if time.perf_counter() > until:
            break
    assert best is not None
    report: dict[str, Any] = best.report()
    return {**report, "seconds": best.seconds, "dispatch": _dispatch()}


def _dispatch() -> float:
    """The quickest of several series: a machine that is busy for one time slice makes any longer one slow."""
    one = torch.zeros(1)
    series = []
    for _ in range(_SERIES):
        began = time.perf_counter()
        for _ in range(_TINY):
            one.add_(1)
        series.append((time.perf_counter() - began) / _TINY)
    return min(series)
