"""Independent first versions, the best of which is confirmed.

The yardstick of every search: what the same models reach by being asked often (cf. "The larger the better?", on
choosing between many small-model samples and one large). Nobody is told of what was tried before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kopt.agents.context import Wanted
from kopt.rl.asking import Asking
from kopt.rl.ledger import Ledger
from kopt.rl.strategy import Plan
from kopt.rl.team import WRITER, Describe, Explaining

IDLE = 8
"""Answers in a row that were no new candidate, after which the models are thought to have no other."""


class BestOfN(Asking):
    """Write N times, confirm the best."""

    name = "best-of-n"

    def __init__(
        self,
        proposers: Sequence[Explaining],
        describe: Describe,
        ledger: Ledger,
        *,
        samples: float = math.inf,
    ) -> None:
        super().__init__(proposers, describe, ledger)
        self._samples = samples

    def _search(self) -> Plan:
        turn = idle = 0
        while len(self._seen) < self._samples and self._team.members and idle < IDLE and self._may_search():
            members = len(self._team.members)
            candidate, _ = self._team.ask(
                self._team.turn(turn), [], None, wanted=Wanted(role=WRITER), sample=turn // members
            )
            turn, idle = turn + 1, idle + 1
            if candidate is not None and candidate.digest not in self._seen:
                idle = 0
                yield from self._try(candidate, "explore")
