"""The simple strategy with models: one candidate at a time, repaired while it fails, improved while it gains.

Models take turns over one history, so that what one has learnt the others see (PerfCodeGen's refinement by runtime
feedback, without training). A model that cannot be used is left out and the rest go on. What is found is confirmed
as by every strategy.
"""

from __future__ import annotations

from kopt.rl.asking import Asking
from kopt.rl.searching import STEP
from kopt.rl.strategy import Plan, score
from kopt.rl.team import Asked

FRUITLESS = 8
"""Turns in a row without a gain after which the search ends."""


class Refine(Asking):
    """Write, repair, improve, confirm."""

    name = "refine"

    def _search(self) -> Plan:
        best, turn, fruitless = 0.0, 0, 0

        def begin() -> tuple[None, Asked] | None:
            return (None, self._ask(self._team.turn(turn))) if fruitless < FRUITLESS else None

        for _, candidate, _ in self._answers(begin):
            turn, fruitless = turn + 1, fruitless + 1
            if candidate is None:
                continue
            yield from self._try(candidate, "explore")
            value = score(self._seen[candidate.digest][1])
            if value > best * STEP:
                best, fruitless = value, 0
