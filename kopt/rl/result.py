"""What a run hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kopt.store import StoredEvaluation
from kopt.words import Evaluation, Problem, to_json


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a run ended.

    Attributes:
        best: the winner's full evaluation; without a winner the best correct candidate's, if one was judged
        with
            full effort; else None. ``won`` tells the two apart.
        won: whether ``best`` beats the better baseline with its whole interval.
        kernel: the winner's name in the library, or None.
        patch: the winner of a code problem as a git patch, or None.
        reason: why the run ended as it did, in one line.
        notes: what else a user should know, and last what the strategy has to say: what its proposer left out and why,
            or what became of the models' replies.
        evaluated: how many candidates were evaluated, over all sessions of the run.
        seconds: wall time, over all sessions of the run.
        spent: every resource the ledger counted, over all sessions: evaluations, device seconds, dollars, tokens.
    """

    run: str
    problem: Problem
    best: Evaluation | None
    won: bool
    kernel: str | None
    reason: str
    notes: tuple[str, ...]
    evaluated: int
    seconds: float
    spent: Mapping[str, float]
    evaluations: tuple[StoredEvaluation, ...]
    patch: Path | None = None

    def document(self) -> Mapping[str, Any]:
        """The result as one JSON object."""
        return {
            "run": self.run,
            "problem": self.problem.name,
            "problem_digest": self.problem.digest,
            "won": self.won,
            "best": to_json(self.best) if self.best else None,
            "kernel": self.kernel,
            "patch": str(self.patch) if self.patch else None,
            "reason": self.reason,
            "notes": list(self.notes),
            "evaluated": self.evaluated,
            "seconds": round(self.seconds, 3),
            "spent": dict(self.spent),
        }
