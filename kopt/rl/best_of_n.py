"""Independent first versions, the best of which is confirmed.

The yardstick of every search: what the same models reach by being asked often (cf. "The larger the better?", on
choosing between many small-model samples and one large). Nobody is told of what was tried before.
"""

from __future__ import annotations

import math

from kopt.agents.context import Wanted
from kopt.rl.asking import Asking
from kopt.rl.ledger import Ledger
from kopt.rl.strategy import Plan
from kopt.rl.team import WRITER, Asked, Team

IDLE = 8
"""Answers in a row that were no new candidate, after which the models are thought to have no other."""


class BestOfN(Asking):
    """Write N times, confirm the best."""

    name = "best-of-n"

    def __init__(
        self,
        team: Team,
        ledger: Ledger,
        *,
        samples: float = math.inf,
    ) -> None:
        super().__init__(team, ledger)
        self._samples = samples

    def _search(self) -> Plan:
        turn = answered = idle = 0

        def begin() -> tuple[None, Asked] | None:
            nonlocal turn
            if len(self._seen) + turn - answered >= self._samples or idle >= IDLE:
                return None
            turn += 1
            return None, self._team.begin(self._team.turn(turn - 1), [], None, Wanted(role=WRITER))

        for _, candidate, _ in self._answers(begin):
            answered, idle = answered + 1, idle + 1
            if candidate is not None and candidate.digest not in self._seen:
                idle = 0
                yield from self._try(candidate, "explore")
