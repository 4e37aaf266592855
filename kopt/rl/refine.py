"""The simple strategy with models: one candidate at a time, repaired while it fails, improved while it gains.

Models take turns over one history, so that what one has learnt the others see (PerfCodeGen's refinement by runtime
feedback, without training). A model that cannot be used is left out and the rest go on. What is found is confirmed
as by every strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from kopt.agents.chat.errors import SetupError
from kopt.agents.context import Context
from kopt.rl.ledger import EVALUATIONS, BudgetExhausted, Ledger
from kopt.rl.searching import STEP, Searching
from kopt.rl.strategy import Plan, Trial, score
from kopt.words import Candidate, Evaluation

FRUITLESS = 8
"""Turns in a row without a gain after which the search ends."""


class Explaining(Protocol):
    """What the strategy needs of a proposer."""

    name: str

    def propose(self, context: Context, /) -> Iterable[Candidate]:
        """Candidates worth trying next."""

    def explain(self) -> list[str]:
        """What went wrong, a line each."""


History = Sequence[tuple[Candidate, Evaluation]]
Describe = Callable[[History, tuple[Candidate, Evaluation] | None], Context]
"""The context for a history and the best of it."""


class Refine(Searching):
    """Write, repair, improve, confirm."""

    name = "refine"

    def __init__(self, proposers: Sequence[Explaining], describe: Describe, ledger: Ledger) -> None:
        super().__init__(self._story(), ledger)
        self._proposers = list(proposers)
        self._all = tuple(proposers)
        self._describe = describe
        self._remarks: list[str] = []

    def explain(self) -> list[str]:
        """What the models and their servers had to say."""
        return [line for proposer in self._all for line in proposer.explain()] + self._remarks

    def _story(self) -> Plan:
        if self._ledger.left(EVALUATIONS) == 1:  # one shot: there is nothing to learn from
            candidate = self._propose(0)
            if candidate is not None:
                yield Trial(candidate=candidate, effort="full", phase="confirm")
            return
        best, turn, fruitless = 0.0, 0, 0
        while self._proposers and fruitless < FRUITLESS and self._may_search():
            candidate = self._propose(turn)
            turn, fruitless = turn + 1, fruitless + 1
            if candidate is None:
                continue
            yield from self._try(candidate, "explore")
            value = score(self._seen[candidate.digest][1])
            if value > best * STEP:
                best, fruitless = value, 0
        yield from self._confirm()

    def _propose(self, turn: int) -> Candidate | None:
        """What the model whose turn it is proposes; None when that brought nothing."""
        if not self._proposers:
            return None
        proposer = self._proposers[turn % len(self._proposers)]
        best = self._ranked()
        context = self._describe(list(self._seen.values()), best[0] if best else None)
        try:
            return next(iter(proposer.propose(context)), None)
        except SetupError as error:
            self._remarks.append(str(error))
            self._proposers.remove(proposer)
        except BudgetExhausted as error:
            self._remarks.append(str(error))
            self._proposers.clear()
        return None
