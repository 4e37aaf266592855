"""What a strategy is: ask it what to try next, tell it what came of it.

A strategy holds no database, no sandbox and no clock of its own, and given the same evaluations it asks for
the same trials. So a run is resumed by asking a new strategy again and answering from the store; nothing of
the strategy's state has to be saved.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, Protocol

from kopt.words import Candidate, Evaluation

Effort = Literal["quick", "full"]
Phase = Literal["explore", "tune", "confirm", "check"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A candidate that a strategy wants evaluated, how thoroughly, and what for."""

    candidate: Candidate
    effort: Effort
    phase: Phase
    label: str = ""


class Strategy(Protocol):
    """Ask/tell search policy."""

    name: str

    def ask(self) -> Trial | None:
        """The next trial, or None when the strategy has nothing more to try."""

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        """What came of the trial that was asked for last."""

    def explain(self) -> list[str]:
        """Lines for the user: why there was nothing to try, or what was left out; the most telling last."""

    def close(self) -> None:
        """Let go of whatever it holds: nothing more will be asked or told."""


Plan = Generator[Trial, Evaluation, None]
"""A strategy written as a straight story: it yields trials and receives their evaluations."""


class Planned:
    """Ask/tell on top of a :data:`Plan`, so that a strategy can be read from top to bottom."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._next: Trial | None = None
        self._started = False

    def ask(self) -> Trial | None:
        """The trial the plan waits on."""
        if not self._started:
            self._started = True
            self._next = next(self._plan, None)
        return self._next

    def tell(self, trial: Trial, evaluation: Evaluation) -> None:
        """Continue the plan with the evaluation of the trial it waits on."""
        if trial is not self._next:
            raise ValueError("tell() answers the trial that ask() gave last")
        try:
            self._next = self._plan.send(evaluation)
        except StopIteration:
            self._next = None

    def close(self) -> None:
        """End the plan where it stands."""
        self._plan.close()


def score(evaluation: Evaluation) -> float:
    """How good an evaluation is: its speed-up over the better baseline, 0 when not correct or not timed."""
    gain = evaluation.gain if evaluation.correct else None
    return gain.ratio if gain else 0.0


def sure(evaluation: Evaluation) -> float:
    """The speed-up over the better baseline that the measurement makes certain: its interval's lower end."""
    gain = evaluation.gain if evaluation.correct else None
    return gain.low if gain else 0.0


def is_win(evaluation: Evaluation) -> bool:
    """Whether a verified candidate beats the better baseline with its whole interval."""
    timed = [speedup for speedup in evaluation.speedup.values() if speedup is not None]
    return evaluation.correct and bool(timed) and all(speedup.low > 1.0 for speedup in timed)
