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
from kopt.rl.team import OPTIMISER, REPAIRER, WRITER, Describe, Explaining, Pair

DRY_LEVELS = 2
"""Levels in a row without a gain after which the search ends."""
_NOTHING_IS_ALIKE = 2.0


class Beam(Asking):
    """Write, keep the best few, improve each, confirm."""

    name = "beam"

    def __init__(
        self,
        proposers: Sequence[Explaining],
        describe: Describe,
        ledger: Ledger,
        *,
        width: int = 3,
        branch: int = 3,
    ) -> None:
        super().__init__(proposers, describe, ledger)
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
            for parent in parents:
                for sample in range(self._branch):
                    if not self._team.members or not self._may_search():
                        return
                    yield from self._successor(parent, sample, made)
            beam = sorted([*beam, *made], key=lambda pair: -score(pair[1]))[: self._width]
            dry = 0 if beam and score(beam[0][1]) > before * STEP else dry + 1

    def _successor(self, parent: Pair | None, sample: int, made: list[Pair]) -> Plan:
        """Try one successor of a parent, or of nothing; what comes of it is added to ``made``."""
        role = WRITER if parent is None else OPTIMISER if parent[1].correct else REPAIRER
        proposer = self._team.turn(self._turn)
        self._turn += 1
        candidate, _ = self._ask(proposer, wanted=Wanted(role=role, parent=parent), sample=sample)
        if candidate is None or self._novelty.refusal(candidate) is not None:
            return
        yield from self._try(candidate, "explore")
        evaluation = self._seen[candidate.digest][1]
        self._novelty.note(candidate, gained=False)
        made.append((candidate, evaluation))
