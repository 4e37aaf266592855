"""What strategies with models share: a team that is asked, a single shot where nothing can be learnt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kopt.agents.context import Cost, Wanted
from kopt.rl.ledger import EVALUATIONS, Ledger
from kopt.rl.searching import Searching
from kopt.rl.strategy import Phase, Plan, Trial
from kopt.rl.team import WRITER, Describe, Explaining, Pair, Team
from kopt.words import Candidate


class Challenging(Protocol):
    """Gets the correct candidates, best first, whenever one was tried."""

    def __call__(self, ranked: Sequence[Pair], /) -> None:
        """Consider them; never raises for what a model does."""

    def explain(self) -> list[str]:
        """What came of it, a line each."""


class Asking(Searching):
    """A plan of quick trials of what models propose, confirmed at its end."""

    def __init__(self, proposers: Sequence[Explaining], describe: Describe, ledger: Ledger) -> None:
        super().__init__(self._story(), ledger)
        self._team = Team(proposers, describe)
        self.challenger: Challenging | None = None
        """Who looks for inputs on which candidates differ; None: nobody."""

    def explain(self) -> list[str]:
        """What the models and their servers had to say."""
        return [*self._team.explain(), *(self.challenger.explain() if self.challenger else ())]

    def _try(self, candidate: Candidate, phase: Phase) -> Plan:
        yield from super()._try(candidate, phase)
        if self.challenger is not None:
            self.challenger(self._ranked())

    def _story(self) -> Plan:
        """With a single evaluation one candidate with full effort, else search and confirm."""
        if self._ledger.left(EVALUATIONS) == 1:
            candidate, _ = self._team.ask(self._team.turn(0), [], None, wanted=Wanted(role=WRITER))
            if candidate is not None:
                yield Trial(candidate=candidate, effort="full", phase="confirm")
            return
        yield from self._search()
        yield from self._confirm()

    def _ask(
        self, proposer: Explaining, *, wanted: Wanted | None = None, sample: int = 0
    ) -> tuple[Candidate | None, Cost]:
        """One candidate from a proposer that is told of all that was tried, and what it cost."""
        ranked, history = self._ranked(), list(self._seen.values())
        best = ranked[0] if ranked else None
        return self._team.ask(proposer, history, best, wanted=wanted, sample=sample)

    def _search(self) -> Plan:
        """Quick trials."""
        raise NotImplementedError
        yield  # makes this a generator, as every override is
