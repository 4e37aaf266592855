"""Time a candidate side by side with the original: a process each, in turn, on the same input."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kopt.verifiers import statistics
from kopt.verifiers.code.cases import Case
from kopt.verifiers.sampling import Effort
from kopt.words import Speedup

Timed = Callable[[Case], float]
"""Run a side on a case, check what it prints; seconds by the judge's clock. Raises ``Failure``."""


@dataclass(frozen=True)
class Plan:
    """Bounds of a measurement: rounds (every timed case once, both sides), and seconds."""

    least: int
    most: int
    seconds: float


PLANS = {
    Effort.QUICK: Plan(least=4, most=8, seconds=4.0),
    Effort.FULL: Plan(least=statistics.LEAST, most=27, seconds=12.0),
}
_WIDTH = 0.03
_PATIENCE = 6.0
_HALF = 4  # pairs, from which on a half speaks for itself


@dataclass
class Samples:
    """Seconds per run of both sides by case, in pairs; ``stopped`` says why there are no more."""

    before: dict[str, list[float]] = field(default_factory=dict)
    candidate: dict[str, list[float]] = field(default_factory=dict)
    stopped: str = "pairs"

    def gain(self) -> Speedup:
        """The speed-up over all timed cases; what the first or the second half of the pairs denies is not told."""
        parts = [statistics.pooled(self._halves(name)) for name in self.before]
        return parts[0] if len(parts) == 1 else statistics.combined(parts)

    def _halves(self, name: str) -> list[tuple[list[float], list[float]]]:
        before, candidate = self.before[name], self.candidate[name]
        half = len(before) // 2
        if half < _HALF:
            return [(before, candidate)]
        return [(before[:half], candidate[:half]), (before[half:], candidate[half:])]


def sample(
    cases: Sequence[Case],
    before: Timed,
    candidate: Timed,
    effort: Effort,
    *,
    target: Speedup | None = None,
    deadline: float | None = None,
    observe: Callable[[int, Speedup], None] | None = None,
) -> Samples:
    """Sample until the interval is tight, the time is spent or, when quick, the gain ``target`` is out of reach.

    Every run is a new process in new memory, so that no sitting favours one side for long.
    """
    plan, found = PLANS[effort], Samples()
    for case in cases:
        found.before[case.name], found.candidate[case.name] = [], []
    begin = time.monotonic()
    until, latest = begin + plan.seconds, begin + plan.seconds * _PATIENCE
    if deadline is not None:
        until, latest = min(until, deadline), min(latest, deadline)
    moments = {plan.least, *statistics.looks(plan.most)}
    for number in range(1, plan.most + 1):
        for case in cases:
            sides = [(before, found.before), (candidate, found.candidate)]
            for run, book in sides if number % 2 else reversed(sides):
                book[case.name].append(run(case))
        now = time.monotonic()
        gain = found.gain()
        if observe is not None:
            observe(number, gain)
        if number in moments:
            hopeless = target is not None and statistics.versus(gain, target).high < 1.0
            if effort is Effort.QUICK and hopeless:
                found.stopped = "cannot beat the incumbent"
                break
            if number >= plan.least and statistics.tight(gain, _WIDTH):
                found.stopped = "interval is tight"
                break
        if (now > until and number >= plan.least) or (now > latest and number >= 2):
            found.stopped = "time"
            break
    return found
