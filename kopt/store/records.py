"""What the store gives back: small frozen records."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kopt.words import Evaluation


class RunStatus(enum.StrEnum):
    """Where a run stands. ``stopped`` is never stored: it is a run whose process is gone."""

    RUNNING = "running"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def resumable(self) -> bool:
        """Whether ``kopt runs resume`` would do something."""
        return self in (RunStatus.STOPPED, RunStatus.INTERRUPTED, RunStatus.FAILED)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run: what it works on, its budget and spending, how it stands and what it found."""

    id: str
    problem_digest: str
    problem: str
    strategy: str
    budget: Mapping[str, float | None]
    options: Mapping[str, Any]
    status: RunStatus
    reason: str
    best: str | None
    kernel: str | None
    spent: Mapping[str, float]
    created_at: float
    updated_at: float
    owner: str | None


@dataclass(frozen=True, kw_only=True)
class StoredEvaluation:
    """An evaluation with the effort it was made with and its place in the run."""

    candidate: str
    number: int
    proposer: str
    effort: str
    evaluation: Evaluation
    notes: Mapping[str, Any]
    created_at: float


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of a run's append-only history."""

    sequence: int
    at: float
    kind: str
    payload: Mapping[str, Any]
