"""Beam search: the best few candidates each get the same number of successors, and the best few of all go on.

Failed successors take part as long as the beam is not full of correct ones, so that they are repaired. It ends when
a whole level has brought no gain twice in a row.
"""

from __future__ import annotations

from collections.abc import Sequence

from kopt.agents.context import Wanted
from kopt.rl.asking import Asking
from kopt.rl.ledger import Ledger
from kopt.rl.novelty import Novelty
from kopt.rl.searching import STEP
from kopt.rl.strategy import Plan, score
from kopt.rl.team import OPTIMISER, REPAIRER, WRITER, Asked, Pair, Team

DRY_LEVELS = 2
"""Levels in a row without a gain after which the search ends."""
_NOTHING_IS_ALIKE = 2.0


class Beam(Asking):
    """Write, keep the best few, improve each, confirm."""

    name = "beam"

    def __init__(
        self,
        team: Team,
        ledger: Ledger,
        *,
        width: int = 3,
        branch: int = 3,
    ) -> None:
        super().__init__(team, ledger)
        self._width = width
        self._branch = branch
        self._novelty = Novelty(_NOTHING_IS_ALIKE)
        self._turn = 0

    def _search(self) -> Plan:
        beam: list[Pair] = []
        dry = 0
        while dry < DRY_LEVELS and self._team.members:
            before = score(beam[0][1]) if beam else 0.0
            parents: list[Pair | None] = [*beam, *[None] * (self._width - len(beam))]
            made: list[Pair] = []
            yield from self._level([parent for parent in parents for _ in range(self._branch)], made)
            if not self._team.members or not self._may_search():
                return
            beam = sorted([*beam, *made], key=lambda pair: -score(pair[1]))[: self._width]
            dry = 0 if beam and score(beam[0][1]) > before * STEP else dry + 1

    def _level(self, parents: Sequence[Pair | None], made: list[Pair]) -> Plan:
        """Try a successor of each of these, None standing for nothing; what comes of it is added to ``made``."""
        waiting = iter(parents)

        def begin() -> tuple[None, Asked] | None:
            return next(((None, self._successor(parent)) for parent in waiting), None)

        for _, candidate, _ in self._answers(begin):
            if candidate is None or self._novelty.refusal(candidate) is not None:
                continue
            yield from self._try(candidate, "explore")
            self._novelty.note(candidate, gained=False)
            made.append(self._seen[candidate.digest])

    def _successor(self, parent: Pair | None) -> Asked:
        role = WRITER if parent is None else OPTIMISER if parent[1].correct else REPAIRER
        proposer = self._team.turn(self._turn)
        self._turn += 1
        return self._ask(proposer, Wanted(role=role, parent=parent))
