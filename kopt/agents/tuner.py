"""Search over a candidate's tunables without a model: Optuna's ask/tell, defaults first.

The tuner owns no evaluator and no clock: a strategy asks it for a candidate, has that judged, and tells it the
seconds. (Optuna: storage apart from sampling, ask/tell; TVM: the schedule space apart from what is computed.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kopt.agents.tunables import Choice, defaults, instantiate
from kopt.words import Candidate

if TYPE_CHECKING:
    import optuna


class Tuner:
    """Proposes values for one candidate's tunables; every assignment is asked for at most once."""

    def __init__(self, candidate: Candidate, *, seed: int = 0) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.candidate = candidate
        self._space = math.prod(len(t.choices) for t in candidate.tunables)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=4)
        self._study = optuna.create_study(direction="minimize", sampler=sampler)
        self._study.enqueue_trial(defaults(candidate))
        self._trials: dict[str, optuna.trial.Trial] = {}
        self._asked: set[tuple[Choice, ...]] = set()
        self.best: tuple[float, Candidate] | None = None

    @property
    def size(self) -> int:
        """How many assignments there are."""
        return self._space

    def ask(self) -> Candidate | None:
        """The next candidate to evaluate; None when every assignment has been asked for."""
        if len(self._asked) >= self._space:
            return None
        for _ in range(64):
            trial = self._study.ask()
            values = self._suggested(trial)
            if tuple(values.values()) not in self._asked:
                return self._issue(trial, values)
            self._study.tell(trial, state=self._failed())
        self._study.enqueue_trial(self._untried())
        trial = self._study.ask()
        return self._issue(trial, self._suggested(trial))

    def tell(self, candidate: Candidate, seconds: float | None) -> None:
        """Report what :meth:`ask` gave: seconds per call, or None when it was not correct.

        Raises:
            KeyError: this tuner did not ask for that candidate, or was told already.
        """
        trial = self._trials.pop(candidate.digest)
        if seconds is None or not math.isfinite(seconds):
            self._study.tell(trial, state=self._failed())
            return
        self._study.tell(trial, seconds)
        if self.best is None or seconds < self.best[0]:
            self.best = (seconds, candidate)

    def _suggested(self, trial: optuna.trial.Trial) -> dict[str, Choice]:
        found: dict[str, Choice] = {}
        for tunable in self.candidate.tunables:
            value = trial.suggest_categorical(tunable.name, list(tunable.choices))
            assert value is not None
            found[tunable.name] = value
        return found

    def _issue(self, trial: optuna.trial.Trial, values: dict[str, Choice]) -> Candidate:
        self._asked.add(tuple(values.values()))
        made = instantiate(self.candidate, values)
        self._trials[made.digest] = trial
        return made

    def _untried(self) -> dict[str, Choice]:
        import itertools

        names = [t.name for t in self.candidate.tunables]
        for values in itertools.product(*(t.choices for t in self.candidate.tunables)):
            if values not in self._asked:
                return dict(zip(names, values, strict=True))
        raise AssertionError("asked for more assignments than there are")

    @staticmethod
    def _failed() -> optuna.trial.TrialState:
        import optuna

        return optuna.trial.TrialState.FAIL
