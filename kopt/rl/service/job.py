"""One job of the service: what was asked, how it stands, what came of it."""

from __future__ import annotations

import asyncio
import enum
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from kopt.rl.ledger import Reservation
from kopt.rl.service.requests import Request


class JobState(enum.StrEnum):
    """How a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(eq=False)
class Job:
    """A request on its way: ``result`` when it is done, ``error`` (one line) when it failed.

    ``begun`` is when its work began; ``names`` are ids that whoever asked gives to what he sent.
    """

    request: Request
    reservation: Reservation
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    state: JobState = JobState.QUEUED
    stage: str = ""
    progress: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    error: str = ""
    seconds: float = 0.0
    begun: float | None = None
    unwanted: bool = False
    names: dict[str, str] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def view(self, ahead: int = 0) -> dict[str, Any]:
        """The job as JSON values, without what is empty; ``ahead`` jobs come before it."""
        running = self.state is JobState.RUNNING and self.begun is not None
        told = {
            "job": self.id,
            "kind": self.request.kind,
            **self.names,
            "state": self.state.value,
            "jobs_ahead": ahead,
            "stage": self.stage,
            "seconds": round(time.monotonic() - self.begun if running and self.begun else self.seconds, 1),
            "progress": self.progress if self.result is None else None,
            "result": self.result,
            "error": self.error,
        }
        return {name: value for name, value in told.items() if value}
