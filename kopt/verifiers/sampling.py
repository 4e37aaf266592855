"""How long to keep sampling a match, and what its samples say.

``quick`` is for search: the better baseline only, few pairs, out as soon as the incumbent is out of reach.
``full`` is for results: every baseline interleaved, until intervals are tight or the time is spent, in two
sittings, each with a fresh process and in other memory (:func:`joined`).
``verify`` measures nothing: is it right?
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kopt.verifiers import statistics
from kopt.verifiers.contestant import Contestant, Failure
from kopt.verifiers.gate import LONGEST
from kopt.verifiers.measure import Match
from kopt.words import Speedup, Timing, Verdict


class Effort(enum.StrEnum):
    """How much certainty an evaluation buys."""

    VERIFY = "verify"
    QUICK = "quick"
    FULL = "full"


@dataclass(frozen=True)
class Plan:
    """Bounds of one sitting: pairs, seconds, and single calls to compare with full rounds; how many sittings."""

    pairs: int
    seconds: float
    singles: int
    sittings: int


PLANS = {
    Effort.QUICK: Plan(pairs=12, seconds=2.5, singles=2, sittings=1),
    Effort.FULL: Plan(pairs=30, seconds=1.0, singles=4, sittings=2),
}
_EARLY, _NARROW = 0.4, 0.05  # after this share of the seconds, an interval this narrow will do
_AGAIN = 24  # probes, before anybody is accused
_PATIENCE = 6.0  # times the seconds, to reach the least number of pairs when a single pair takes long


@dataclass
class Measured:
    """The result of a match: speed-ups of the candidate over each baseline and the timing of every side.

    ``charged``: seconds per call the candidate needs more when it is called one by one, which its timing contains.
    """

    speedup: dict[str, Speedup]
    timing: dict[str, Timing]
    stopped: str
    pairs: int
    charged: float = 0.0


def joined(parts: Sequence[Measured], candidate: str) -> Measured:
    """Several sittings of the same sides as one result."""
    if len(parts) == 1:
        return parts[0]

    def rounds(name: str) -> list[Sequence[float]]:
        return [part.timing[name].samples for part in parts]

    first = parts[0]
    found = {
        name: statistics.pooled(list(zip(rounds(name), rounds(candidate), strict=True)))
        for name in first.speedup
    }
    times = {
        name: statistics.timing([value for one in rounds(name) for value in one], timing.calls_per_round)
        for name, timing in first.timing.items()
    }
    charged = max(part.charged for part in parts)
    return Measured(found, times, parts[-1].stopped, sum(part.pairs for part in parts), charged)


def sample(
    match: Match,
    candidate: str,
    baselines: Sequence[str],
    effort: Effort,
    *,
    target: Speedup | None = None,
    deadline: float | None = None,
    observe: Callable[[int, dict[str, Speedup]], None] | None = None,
) -> Measured:
    """Sample until it suffices; a quick measurement ends when the gain ``target`` is out of reach.

    Raises:
        Failure: an output is wrong, or the candidate does not do each call's work in that call.
    """
    plan = PLANS[effort]
    match.warm()
    begin = time.monotonic()
    until = begin + plan.seconds
    latest = begin + plan.seconds * _PATIENCE
    if deadline is not None:
        until, latest = min(until, deadline), min(latest, deadline)
    moments = set(statistics.looks(plan.pairs)) | ({4, 6} if effort is Effort.QUICK else set())
    least = -(-statistics.LEAST // plan.sittings) if effort is Effort.FULL else 4
    stopped = "pairs"
    seen = 0
    while True:
        match.iterate()
        pairs = len(match.full[candidate])
        now = time.monotonic()
        if pairs == seen or not pairs:
            continue
        seen = pairs
        if observe is not None or pairs in moments:
            found = {name: statistics.speedup(match.full[name], match.full[candidate]) for name in baselines}
        if observe is not None:
            observe(pairs, found)
        if pairs in moments:
            gain = min(found.values(), key=lambda s: s.ratio)
            if effort is Effort.QUICK and target is not None and statistics.versus(gain, target).high < 1.0:
                stopped = "cannot beat the incumbent"
                break
            width = statistics.TIGHT if now < begin + _EARLY * plan.seconds else _NARROW
            if pairs >= statistics.LEAST and all(statistics.tight(s, width) for s in found.values()):
                stopped = "interval is tight"
                break
        if pairs >= plan.pairs:
            break
        if (now > until and pairs >= least) or (now > latest and pairs >= 2):
            stopped = "time"
            break
    _agree(match, candidate, baselines[0], plan)
    charged = _charge(match, baselines[0], plan)
    found = {name: statistics.speedup(match.full[name], match.full[candidate]) for name in baselines}
    calls = match.bench.layout.slots
    times = {name: statistics.timing(values, calls) for name, values in match.full.items()}
    return Measured(found, times, stopped, len(match.full[candidate]), charged.get(candidate, 0.0))


def _agree(match: Match, candidate: str, baseline: str, plan: Plan) -> None:
    for _ in range(plan.singles - len(match.single[candidate])):
        match.probe_single()
    found = match.agreement(candidate, baseline)
    for _ in range(_AGAIN):  # a busy machine delays many in a row
        if found.agrees:
            return
        match.probe_single()
        found = match.agreement(candidate, baseline)
    raise Failure(Verdict.TAMPERED, found.reason)


def _charge(match: Match, baseline: str, plan: Plan) -> dict[str, float]:
    """Add to every round what a contestant's calls cost more one by one than in rounds; seconds per call."""
    charged = {}
    for name, side in match.sides.items():
        together = statistics.interval(match.full[name])[0]
        if isinstance(side, Contestant) and together < LONGEST:
            more = match.through_the_gate(name, baseline, plan.singles) - together
            if more > 0:
                match.full[name] = [seconds + more for seconds in match.full[name]]
                charged[name] = more
    return charged
