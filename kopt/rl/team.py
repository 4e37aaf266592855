"""The proposers of a run: asked one at a time, left out when they cannot be used, silent when the money is gone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from kopt.agents.chat.errors import SetupError
from kopt.agents.context import Context, Cost, Wanted
from kopt.rl.ledger import BudgetExhausted
from kopt.words import Candidate, Evaluation

Pair = tuple[Candidate, Evaluation]
History = Sequence[Pair]
Describe = Callable[[History, Pair | None], Context]
"""The context for a history and the best of it."""
WRITER, REPAIRER, OPTIMISER = "writer", "repairer", "optimiser"


class Explaining(Protocol):
    """What a strategy needs of a proposer. One that also has ``paid``, a :class:`Cost`, is known by its price."""

    name: str

    def propose(self, context: Context, /) -> Iterable[Candidate]:
        """Candidates worth trying next."""

    def explain(self) -> list[str]:
        """What went wrong, a line each."""


class Team:
    """Proposers and what they are told."""

    def __init__(self, proposers: Sequence[Explaining], describe: Describe) -> None:
        self.members = list(proposers)
        self._all = tuple(proposers)
        self._describe = describe
        self._remarks: list[str] = []

    def explain(self) -> list[str]:
        """What the models and their servers had to say."""
        return [line for proposer in self._all for line in proposer.explain()] + self._remarks

    def turn(self, number: int) -> Explaining:
        """Whose turn it is, where they take turns."""
        return self.members[number % len(self.members)]

    def ask(
        self,
        proposer: Explaining,
        history: History,
        best: Pair | None,
        *,
        wanted: Wanted | None = None,
        sample: int = 0,
    ) -> tuple[Candidate | None, Cost]:
        """One candidate, or None when that brought nothing, and what it cost."""
        context = self._describe(history, best)
        if wanted is not None or sample:
            context = dataclasses.replace(context, wanted=wanted, sample=sample)
        candidate = None
        try:
            candidate = next(iter(proposer.propose(context)), None)
        except SetupError as error:
            self._remarks.append(str(error))
            self.members.remove(proposer)
        except BudgetExhausted as error:
            self._remarks.append(str(error))
            self.members.clear()
        return candidate, getattr(proposer, "paid", Cost())
