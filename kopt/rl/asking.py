"""What strategies with models share: a team that is asked ahead, a single shot where nothing can be learnt."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Protocol, TypeVar

from kopt.agents.context import Cost, Wanted
from kopt.rl.ledger import EVALUATIONS, Ledger
from kopt.rl.searching import Searching, Tuning
from kopt.rl.strategy import Phase, Plan, Trial, is_win
from kopt.rl.team import REPAIRER, WRITER, Asked, Explaining, Pair, Team
from kopt.words import Candidate, Evaluation

LATEST = 16
"""Answers and evaluations from which is told how long one takes."""
SPARE = 1.5
"""Questions open for each that would do, were all answers equally quick."""
LEAST_SECONDS = 1e-3
Turn = TypeVar("Turn")
"""What a strategy has to remember of a question."""


class Challenging(Protocol):
    """Gets the correct candidates, best first, whenever one was tried."""

    def __call__(self, ranked: Sequence[Pair], /) -> None:
        """Consider them; never raises for what a model does."""

    def explain(self) -> list[str]:
        """What came of it, a line each."""


class Asking(Searching):
    """A plan of quick trials of what models propose, confirmed at its end."""

    def __init__(self, team: Team, ledger: Ledger) -> None:
        super().__init__(self._story(), ledger)
        self._team = team
        self._waits: list[float] = []
        self._repaired = False
        self.challenger: Challenging | None = None
        """Who looks for inputs on which candidates differ; None: nobody."""
        self.tuner: Tuning | None = None
        """How the best candidate's tunables are searched once the models are done, where it declares any."""

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
            asked = self._team.begin(self._team.turn(0), [], None, Wanted(role=WRITER))
            candidate, _ = self._team.end(asked) or (None, Cost())
            if candidate is not None:
                yield Trial(candidate=candidate, effort="full", phase="confirm")
            return
        yield from self._search()
        for candidate, evaluation in self._ranked()[:1]:
            if self.tuner is not None and candidate.tunables:
                yield from self._tune(self.tuner(candidate), evaluation)
        yield from self._confirm()

    def _confirmed(self, candidate: Candidate) -> Generator[Trial, Evaluation, bool]:
        """As ever; but the models get one turn to repair what was right until sanitizers looked at it.

        Only where time is left to ask, and an evaluation beside the one for the next best.
        """
        full = yield Trial(candidate=candidate, effort="full", phase="confirm")
        short = self._ledger.left(EVALUATIONS) < 2 or self._seconds_to_search() <= 0
        if full.correct or self._repaired or short or not self._team.members:
            return is_win(full)
        self._repaired = True
        self._seen[candidate.digest] = candidate, full
        asked = self._ask(self._team.turn(0), Wanted(role=REPAIRER, parent=(candidate, full)))
        mended, _ = self._team.end(asked, self._seconds_to_search()) or (None, Cost())
        if mended is None or mended.digest in self._seen:
            return False
        return is_win((yield Trial(candidate=mended, effort="full", phase="confirm")))

    def _ask(self, proposer: Explaining, wanted: Wanted | None = None) -> Asked:
        """Ask for one candidate; the proposer is told of all that was tried."""
        ranked, history = self._ranked(), list(self._seen.values())
        return self._team.begin(proposer, history, ranked[0] if ranked else None, wanted)

    def _answers(
        self, begin: Callable[[], tuple[Turn, Asked] | None]
    ) -> Iterator[tuple[Turn, Candidate | None, Cost]]:
        """What comes of turns, in the order they were begun, with what each has cost.

        As many are open at once as :meth:`_ahead` says; an answer that is being looked at no longer counts. ``begin``
        begins another, and says None where there is to be none now. It ends when none is open, or when no time or no
        evaluations are left to search with: then nobody waits for answers.
        """
        turns: deque[tuple[Turn, Asked]] = deque()
        while True:
            while (
                len(turns) < self._ahead()
                and self._team.members
                and self._may_search(len(turns))
                and (begun := begin()) is not None
            ):
                turns.append(begun)
            if not turns or not self._may_search():
                return
            turn, asked = turns.popleft()
            answer = self._team.end(asked, self._seconds_to_search())
            if answer is None:
                return
            self._waits.append(answer[1].seconds)
            yield turn, *answer

    def _ahead(self) -> int:
        """How many questions to have open: what keeps the judge busy, for who asks early knows less.

        From what answers and evaluations took when they were made, so that a resumed run asks as early.
        """
        waits, trials = self._waits[-LATEST:], self._seconds[-LATEST:]
        if not waits or not trials:
            return self._team.in_flight
        needed = SPARE * statistics.median(waits) / max(statistics.median(trials), LEAST_SECONDS)
        return min(self._team.in_flight, 1 + math.ceil(needed))

    def _search(self) -> Plan:
        """Quick trials."""
        raise NotImplementedError
        yield  # makes this a generator, as every override is
