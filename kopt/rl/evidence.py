"""Profiles for the optimiser: of the candidate that is to be improved, made when it is asked for, within bounds.

A profile is no evaluation: it is made of what is already judged, in seconds, and the ledger counts these as the
device's. How many a run may make follows from the budget it began with and from nothing that changes; what was made
is kept. So a resumed run asks its models what it asked them before.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING

import kopt
from kopt.agents.chat.cache import ReplyCache
from kopt.agents.context import MACHINE
from kopt.errors import KoptError
from kopt.rl.ledger import DEVICE_SECONDS, SECONDS, BudgetExhausted, Ledger
from kopt.words import Candidate, Evaluation, Profile, digest_of, from_json, to_json

if TYPE_CHECKING:
    from kopt.verifiers.evaluator import Evaluator

SHARE = 0.2
"""Of the seconds a run began with, what profiles may take."""
ONE = 5.0
"""Seconds that one is thought to take."""
PROFILED = "profiled"
"""The kind of event an observer gets for every profile that was made."""


class Profiles:
    """The profiles of one run's candidates, each made once."""

    def __init__(self, evaluator: Evaluator, ledger: Ledger, most: float) -> None:
        """Nothing is profiled yet.

        Args:
            evaluator: the run's; what it has built is not built again.
            ledger: pays, and says what the run began with.
            most: candidates that are profiled, where the budget allows as many.
        """
        self._evaluator = evaluator
        self._ledger = ledger
        self._kept = ReplyCache(evaluator.settings.home / "profiles")
        self._known: dict[str, Profile | None] = {}
        bounds = [SHARE * ledger.began.get(name, math.inf) / ONE for name in (SECONDS, DEVICE_SECONDS)]
        self._most = min(most, *bounds)

    def __call__(self, candidate: Candidate, evaluation: Evaluation) -> Profile | None:
        """The profile of a candidate that was found correct; None where there is none, or no more are made."""
        digest = candidate.digest
        if digest not in self._known:
            if len(self._known) + 1 > self._most:
                return None
            self._known[digest] = self._recall(digest) or self._make(candidate, evaluation)
        return self._known[digest]

    def _key(self, candidate: str) -> str:
        environment, problem = self._evaluator.environment, self._evaluator.problem
        machine = {name: environment.get(name) for name in MACHINE}
        return digest_of(
            {"candidate": candidate, "problem": problem.digest, "machine": machine, "kopt": kopt.__version__}
        )

    def _recall(self, candidate: str) -> Profile | None:
        document = self._kept.get(self._key(candidate))
        with contextlib.suppress(ValueError):
            return from_json(Profile, document) if document is not None else None
        return None

    def _make(self, candidate: Candidate, evaluation: Evaluation) -> Profile | None:
        from kopt.sandbox.errors import RunnerError
        from kopt.verifiers.contestant import Failure

        try:
            reservation = self._ledger.reserve(**{DEVICE_SECONDS: math.inf})
        except BudgetExhausted:
            return None
        began, found = time.monotonic(), None
        with reservation:
            with contextlib.suppress(Failure, KoptError, RunnerError):  # advice that cannot be had
                found = self._profile(candidate, evaluation)
            seconds = round(time.monotonic() - began, 3)
            reservation.settle(**{DEVICE_SECONDS: seconds})
        if found is not None:
            self._kept.put(self._key(candidate.digest), {"candidate": candidate.digest}, found)
            told = {
                "candidate": candidate.digest,
                "seconds": seconds,
                "bottleneck": to_json(found.bottleneck),
            }
            self._evaluator.observe(PROFILED, told)
        return found

    def _profile(self, candidate: Candidate, evaluation: Evaluation) -> Profile:
        """What the stage ``profile`` finds, with what the evaluation has already found out; nothing is judged again."""
        from kopt.verifiers import profile as profiles
        from kopt.verifiers.sampling import Effort
        from kopt.verifiers.trial import Trial

        trial = Trial(self._evaluator, candidate, Effort.VERIFY, None, None)
        trial.prepare()
        trial.timing, trial.delegation = dict(evaluation.timing), evaluation.delegation
        return profiles.of_candidate(trial)
