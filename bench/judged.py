"""Part of :mod:`bench.isolation`: the same warm candidate judged in every sandbox, in turns, against no isolation.

* seconds per candidate: a process for it, loading it, verifying it on every case;
* seconds per call by the judge's clock: one iteration in each sandbox in turn, ratios paired, with their interval.

``none`` is ``--sandbox none``: the same runner and the same protocol without namespaces, filter and limits.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kopt.problems import load
from kopt.rl.candidate_file import read_candidate
from kopt.settings import Settings
from kopt.verifiers import Evaluator, statistics
from kopt.verifiers.measure import Match
from kopt.verifiers.verify import Verified, verify
from kopt.words import Candidate

MATERIAL = Path(__file__).parent / "material"
CANDIDATES, PROCESSES, PAIRS = 30, 5, 12


class Place:
    """One sandbox with its evaluator, and what was measured there."""

    def __init__(self, evaluator: Evaluator, candidate: Candidate) -> None:
        self.evaluator, self.candidate = evaluator, candidate
        self.bench = evaluator.timed[0]
        built = evaluator.sandbox.builder.build(candidate)
        assert built.ok and built.artifact, built.first_error
        self.artifact = built.artifact
        self.load: list[float] = []
        self.total: list[float] = []
        self.calls: list[float] = []

    def judge_once(self) -> None:
        """Seconds of one warm candidate."""
        start = time.monotonic()
        with self.evaluator.contestant(self.bench, self.candidate, self.artifact) as contestant:
            self.load.append(time.monotonic() - start)
            verify(contestant, self.bench.cases, Verified())
        self.total.append(time.monotonic() - start)

    def match(self, keep: ExitStack) -> Match:
        """The candidate in a fresh process, warm, to be timed."""
        contestant = self.evaluator.contestant(self.bench, self.candidate, self.artifact)
        match = Match(self.bench, {"candidate": keep.enter_context(contestant)})
        match.warm()
        return match

    def time_once(self, match: Match) -> None:
        """Seconds per call of one full round."""
        before = len(match.full["candidate"])
        while len(match.full["candidate"]) == before:
            match.iterate()
        self.calls.append(match.full["candidate"][-1])


def _measure(places: dict[str, Place]) -> None:
    for place in places.values():
        place.judge_once()  # cases are made, pages are there
        place.load.clear(), place.total.clear()
    for _ in range(CANDIDATES):
        for place in places.values():
            place.judge_once()
    for _ in range(PROCESSES):
        with ExitStack() as keep:
            matches = {name: place.match(keep) for name, place in places.items()}
            for _ in range(PAIRS):
                for name, place in places.items():
                    place.time_once(matches[name])


def _row(place: Place, bare: Place) -> dict[str, Any]:
    more, low, high = statistics.interval([a - b for a, b in zip(place.total, bare.total, strict=True)])
    ratio = statistics.speedup(place.calls, bare.calls)  # above one: slower than without isolation
    return {
        "load_s": statistics.interval(place.load)[0],
        "candidate_s": statistics.interval(place.total)[0],
        "more_than_none_s": {"median": more, "low": low, "high": high},
        "call_us": statistics.interval(place.calls)[0] * 1e6,
        "call_over_none": {"ratio": ratio.ratio, "low": ratio.low, "high": ratio.high, "pairs": ratio.pairs},
    }


def measure(kinds: list[str], home: Path) -> dict[str, dict[str, Any]]:
    """Judge in every sandbox of ``kinds`` in turns; ``none`` must be among them."""
    candidate = read_candidate(MATERIAL / "small_silu.cpp")
    problem = load(MATERIAL / "small_silu.py")
    with ExitStack() as keep:
        places = {
            kind: Place(
                keep.enter_context(Evaluator(problem, sandbox=kind, settings=Settings(home=home))), candidate
            )
            for kind in kinds
        }
        _measure(places)
        return {name: _row(place, places["none"]) for name, place in places.items()}
