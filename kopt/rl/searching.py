"""What strategies that search with quick trials share: what was seen, when to stop, and confirming the winner.

Part of the budget is kept back for the confirmation, for an unconfirmed winner is none.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Generator
from typing import Protocol

from kopt.rl.ledger import EVALUATIONS, SECONDS, Ledger
from kopt.rl.strategy import Phase, Plan, Planned, Trial, is_win, score, sure
from kopt.words import Candidate, Evaluation

STEP = 1.01
"""A gain smaller than this is none."""
CONFIRMED = 3
"""How many candidates may be tried for the confirmation."""
SPARED = 20
"""One in so many evaluations is kept back beside the one for the winner, should sanitizers refuse that."""
CONFIRM_SECONDS = 15.0
"""What is kept back for the confirmation."""
MOST_CONFIRM_SHARE = 0.35
"""Of the budget, where that is less."""
TRIAL_SECONDS = 5.0
"""What a quick trial is thought to take until two have been seen: the first also times the baselines."""


PATIENCE = 10
"""Trials in a row without a gain of :data:`STEP` after which tuning a candidate ends."""


class Search(Protocol):
    """Ask/tell over one candidate's tunables."""

    def ask(self) -> Candidate | None:
        """Another instance of the candidate, or None when all were tried."""

    def tell(self, candidate: Candidate, cost: float | None, /) -> None:
        """The instance's time over the better baseline's, or None when it is not correct."""


Tuning = Callable[[Candidate], Search]
"""Begins the search over a candidate's tunables."""


class Searching(Planned):
    """A plan of quick trials that ends in a confirmation."""

    def __init__(self, plan: Plan, ledger: Ledger) -> None:
        super().__init__(plan)
        self._ledger = ledger
        self._seen: dict[str, tuple[Candidate, Evaluation]] = {}
        self._seconds: list[float] = []

    def _try(self, candidate: Candidate, phase: Phase) -> Plan:
        evaluation = yield Trial(candidate=candidate, effort="quick", phase=phase)
        self._seen[candidate.digest] = (candidate, evaluation)
        self._seconds.append(evaluation.seconds)

    def _tune(self, search: Search, evaluation: Evaluation) -> Plan:
        """Try other values of a candidate's tunables; ``evaluation`` is its own."""
        best, fruitless = score(evaluation), 0
        while fruitless < PATIENCE and self._may_search():
            candidate = search.ask()
            if candidate is None:
                return
            if candidate.digest not in self._seen:
                yield from self._try(candidate, "tune")
            value = score(self._seen[candidate.digest][1])
            search.tell(candidate, 1 / value if value else None)
            fruitless = 0 if value > best * STEP else fruitless + 1
            best = max(best, value)

    def _confirm(self) -> Plan:
        for place, (candidate, quick) in enumerate(self._ranked()[:CONFIRMED]):
            if place and score(quick) <= 1.0:
                return
            if (yield from self._confirmed(candidate)):
                return

    def _confirmed(self, candidate: Candidate) -> Generator[Trial, Evaluation, bool]:
        """Judge one with full effort; whether it, or what was made of it, wins."""
        return is_win((yield Trial(candidate=candidate, effort="full", phase="confirm")))

    def _ranked(self) -> list[tuple[Candidate, Evaluation]]:
        """The correct and timed candidates, surest gain first: a lucky measurement has a wide interval."""
        timed = [pair for pair in self._seen.values() if score(pair[1]) > 0]
        return sorted(timed, key=lambda pair: -sure(pair[1]))

    def _may_search(self, begun: int = 0) -> bool:
        """Whether another quick trial, beside those already begun, leaves enough for the confirmation."""
        limit = self._ledger.limits.get(EVALUATIONS, math.inf)
        kept = 1 + int(min(CONFIRMED - 1, limit / SPARED))
        return self._ledger.left(EVALUATIONS) > kept + begun and self._seconds_to_search() > 0

    def _seconds_to_search(self) -> float:
        """Until when a quick trial may begin."""
        kept = min(CONFIRM_SECONDS, MOST_CONFIRM_SHARE * self._ledger.limits.get(SECONDS, math.inf))
        trial = statistics.median(self._seconds[1:]) if len(self._seconds) > 1 else TRIAL_SECONDS
        return self._ledger.left(SECONDS) - kept - trial
