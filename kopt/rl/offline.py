"""The strategy without a model: try what the code generator proposes, tune the best, confirm the winner.

1. explore: every base candidate once, quickly, best guess first;
2. tune: the most promising ones' tunables, until a number of trials in a row bring nothing;
3. confirm: the best with full effort against all baselines; if it fails, the next best;
4. check: candidates that are checked and not timed (Triton, CUDA), with what is left of the budget.

Part of the budget is kept back for the last step, for an unconfirmed winner is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from kopt.rl.ledger import EVALUATIONS, SECONDS, Ledger
from kopt.rl.searching import Searching, Tuning
from kopt.rl.strategy import Plan, Trial, score
from kopt.words import Candidate

TUNED = 2
"""How many base candidates are tuned."""
WORTH_TUNING = 0.7
"""A base candidate this much worse than the best one is not tuned."""
CHECK_SECONDS = 10.0
"""What has to be left for a candidate that can only be checked."""


class Source(Protocol):
    """What the strategy needs of a proposer."""

    def propose(self) -> Iterable[Candidate]:
        """Base candidates, best guess first."""

    def explain(self) -> list[str]:
        """Why it proposed nothing, or what it left out."""


class Offline(Searching):
    """Explore, tune, confirm."""

    name = "offline"

    def __init__(self, source: Source, tuner: Tuning, ledger: Ledger) -> None:
        super().__init__(self._story(), ledger)
        self._source = source
        self._tuner = tuner

    def explain(self) -> list[str]:
        """What the proposer has to say."""
        return self._source.explain()

    def _story(self) -> Plan:
        first: Candidate | None = None
        untimed: list[Candidate] = []
        for candidate in self._source.propose():
            if not candidate.language.timed:
                untimed.append(candidate)
                continue
            first = first or candidate
            if not self._may_search():
                break
            yield from self._try(candidate, "explore")
        best = self._ranked()
        for candidate, evaluation in best[:TUNED]:
            if candidate.tunables and score(evaluation) >= WORTH_TUNING * score(best[0][1]):
                yield from self._tune(self._tuner(candidate), evaluation)
        if not self._seen and first is not None:  # a budget of a single evaluation
            yield Trial(candidate=first, effort="full", phase="confirm")
        else:
            yield from self._confirm()
        for candidate in untimed:
            if self._ledger.left(SECONDS) > CHECK_SECONDS and self._ledger.left(EVALUATIONS) >= 1:
                yield Trial(candidate=candidate, effort="quick", phase="check")
