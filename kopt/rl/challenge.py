"""Inputs that an adversary proposes join the run's hidden workloads: what comes later is verified on them as well.

They are judged by the rules of every hidden workload (float64 truth, an error budget from the reference's own error);
where the reference itself does not hold, they are dropped. Candidates, and the models that write them, hear of one that
failed there that it failed on a workload not shown to them.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kopt.agents.chat.errors import SetupError
from kopt.errors import KoptError
from kopt.rl.ledger import DEVICE_SECONDS, Ledger
from kopt.rl.team import Describe, Pair
from kopt.words import Candidate

if TYPE_CHECKING:
    from kopt.agents.adversary import Challenge
    from kopt.agents.chat.words import ChatModel
    from kopt.verifiers.evaluator import Evaluator

CHALLENGED = "challenged"
"""The kind of event an observer gets for inputs that have joined."""


class Challenger:
    """Asks for other inputs when there are 2, 4, 8, ... correct candidates, with the two best of them."""

    def __init__(
        self, model: ChatModel, evaluator: Evaluator, ledger: Ledger, describe: Describe, most: int
    ) -> None:
        """Put a challenger together.

        Args:
            model: who reads the candidates.
            evaluator: the run's, which judges by what joins.
            ledger: pays for the reference's work.
            describe: gives the context of a question.
            most: how often it is asked.
        """
        self._model = model
        self._evaluator = evaluator
        self._ledger = ledger
        self._describe = describe
        self._left = most
        self._next = 2
        self._known: set[str] = set()
        self._remarks: list[str] = []

    def explain(self) -> list[str]:
        """What was tried and what came of it, a line each."""
        return list(self._remarks)

    def __call__(self, ranked: Sequence[Pair]) -> None:
        """Consider the correct candidates so far, best first; never raises for what a model or its inputs do."""
        if self._left < 1 or len(ranked) < self._next:
            return
        self._left -= 1
        self._next *= 2
        (one, _), (other, _) = ranked[:2]
        try:
            challenge = self._ask(one, other)
            if challenge is not None:
                self._join(challenge)
        except SetupError as error:
            self._left = 0
            self._remarks.append(f"no adversary: {error}")
        except KoptError as error:  # a spent budget too: whoever asks for the next proposal is told of it
            self._remarks.append(f"other inputs were not tried: {error}")

    def _ask(self, one: Candidate, other: Candidate) -> Challenge | None:
        from kopt.agents.adversary import oppose

        challenge = oppose(self._model, self._describe([], None), one, other)
        if challenge is None or challenge.problem.digest in self._known:
            self._remarks.append("the adversary named no inputs that could be tried")
            return None
        self._known.add(challenge.problem.digest)
        return challenge

    def _join(self, challenge: Challenge) -> None:
        """Make the reference's truth for the new inputs; from here on every candidate is verified on them.

        Raises:
            ProblemError: the reference does not hold there.
        """
        evaluator, began = self._evaluator, time.monotonic()
        number = len(self._known)
        smallest = min(evaluator.timed, key=lambda bench: bench.slot_bytes)  # every candidate will pay for it
        workload = dataclasses.replace(smallest.workload, name=f"adversary {number}", held_out=True)
        with self._ledger.reserve(**{DEVICE_SECONDS: math.inf}) as reservation:
            try:
                evaluator.join(challenge.problem, workload)
            finally:
                reservation.settle(**{DEVICE_SECONDS: round(time.monotonic() - began, 3)})
        self._remarks.append(f"candidates are verified on an adversary's inputs as well: {challenge.why}")
        facts = {"workload": workload.name, "why": challenge.why, "problem": challenge.problem.digest}
        evaluator.observe(CHALLENGED, facts)
