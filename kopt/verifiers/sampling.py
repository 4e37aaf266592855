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
from kopt.verifiers.gate import LONGEST
from kopt.verifiers.measure import Match
from kopt.words import Speedup, Timing


class Effort(enum.StrEnum):
    """How much certainty an evaluation buys."""

    VERIFY = "verify"
    QUICK = "quick"
    FULL = "full"


@dataclass(frozen=True)
class Plan:
    """Bounds of one sitting: pairs and seconds; how often calls by themselves are probed; how many sittings."""

    pairs: int
    seconds: float
    singles: int
    sittings: int


PLANS = {
    Effort.QUICK: Plan(pairs=12, seconds=2.5, singles=2, sittings=1),
    Effort.FULL: Plan(pairs=30, seconds=0.8, singles=4, sittings=2),
}
_EARLY, _NARROW = 0.4, 0.05  # after this share of the seconds, an interval this narrow will do
_AGAIN = 24  # single calls more, until one agrees with full rounds
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
        Failure: an output is wrong or was written late.
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
    charged = _charge(match, candidate, baselines[0], plan)
    found = {name: statistics.speedup(match.full[name], match.full[candidate]) for name in baselines}
    calls = match.bench.layout.slots
    times = {name: statistics.timing(values, calls) for name, values in match.full.items()}
    return Measured(found, times, stopped, len(match.full[candidate]), charged)


def _charge(match: Match, candidate: str, baseline: str, plan: Plan) -> float:
    """Add to every round what the candidate's calls cost more by themselves than in rounds; seconds per call.

    Who works ahead or in batches is quick in full rounds only. A busy machine delays single calls as well, so nobody is
    accused: the slower figure counts.
    """
    together = statistics.interval(match.full[candidate])[0]
    if together < LONGEST:
        more = match.through_the_gate(candidate, baseline, plan.singles, together) - together
    else:
        more = _alone(match, candidate, baseline, plan)
    if more <= 0:
        return 0.0
    match.full[candidate] = [seconds + more for seconds in match.full[candidate]]
    return more


def _alone(match: Match, name: str, baseline: str, plan: Plan) -> float:
    """Seconds by which a long call takes longer alone than in full rounds, beyond what waking up costs; else 0."""
    for _ in range(plan.singles - len(match.single[name])):
        match.probe_single()
    found = match.agreement(name, baseline)
    for _ in range(_AGAIN):
        if found.agrees:
            return 0.0
        match.probe_single()
        found = match.agreement(name, baseline)
    return found.single - found.full
