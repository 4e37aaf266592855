"""The service: a queue of jobs, one worker, one budget.

Jobs are done one after the other, for timing needs the machine to itself. Every job that evaluates reserves its
evaluations when it is taken and seconds when it is begun, in the one ledger of :mod:`kopt.rl.ledger`; so what waits
can never overspend, and seconds are exceeded by at most the one job that is running. Only seconds of work count.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import traceback
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from kopt.errors import UsageError
from kopt.rl.ledger import DEVICE_SECONDS, EVALUATIONS, BudgetExhausted
from kopt.rl.service.budget import Budget
from kopt.rl.service.child import Worker, WorkerEnded
from kopt.rl.service.job import Job, JobState
from kopt.rl.service.menu import Menu
from kopt.rl.service.requests import Request
from kopt.words import to_json

MOST_WAITING = 16
MOST_KEPT = 200
MOST_SECONDS = 900.0
"""What one job may take, whatever it is about; a search gets its own seconds and this on top."""
STOP_SECONDS = 8.0
"""After which a worker that was asked to stop is killed."""


class Service:
    """Takes jobs while it is open. An async context manager; used from one event loop."""

    def __init__(
        self,
        *,
        budget_evaluations: int | None = None,
        budget_seconds: float | None = None,
        sandbox: str = "auto",
        policy: str = "allow-library",
        menu: Menu | None = None,
    ) -> None:
        self.menu = menu or Menu()
        self.budget = Budget(budget_evaluations, budget_seconds)
        self._sandbox, self._policy = sandbox, policy
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._wake = asyncio.Event()
        self._running: Job | None = None
        self._worker: Worker | None = None
        self._killing: asyncio.Task[None] | None = None
        self._serving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Service:
        self._serving = asyncio.create_task(self._serve())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop what runs, end the worker and everything below it."""
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
        await self._drop_worker()

    def take(self, request: Request, *, evaluations: float) -> Job:
        """Queue a job that will evaluate so many candidates; ``math.inf`` for as many as the budget still has.

        Raises:
            BudgetExhausted: the budget does not allow it.
            UsageError: too many wait.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise UsageError(f"{MOST_WAITING} jobs are waiting; ask again when one of them has ended")
        job = Job(request, self.budget.evaluations(evaluations))
        self._jobs[job.id] = job
        self._waiting.append(job)
        self._wake.set()
        self._forget()
        return job

    def job(self, name: str) -> Job:
        """A job by its handle.

        Raises:
            UsageError: there is none.
        """
        if name not in self._jobs:
            raise UsageError(f"no job {name[:40]!r}: give the handle that a tool has answered with")
        return self._jobs[name]

    async def wait(self, job: Job, seconds: float) -> None:
        """Return when the job has ended or the time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await job.ended.wait()

    def cancel(self, job: Job) -> None:
        """Give a job up; one that runs ends within seconds."""
        if job.state is JobState.QUEUED and job is not self._running:
            self._waiting.remove(job)
            self._end(job, JobState.CANCELLED, evaluations=0)
        elif not job.ended.is_set() and not job.unwanted:
            job.unwanted = True
            if self._worker is not None:
                self._worker.stop()
                self._killing = asyncio.create_task(self._kill_later(self._worker))

    def ahead(self, job: Job) -> int:
        """How many jobs come before one that waits."""
        return self._waiting.index(job) + (self._running is not None) if job in self._waiting else 0

    async def _serve(self) -> None:
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            job = self._running = self._waiting.popleft()
            try:
                await self._run(job)
            finally:
                if not job.ended.is_set():
                    self._end(job, JobState.CANCELLED)
                self._running = None

    async def _run(self, job: Job) -> None:
        try:
            seconds = self.budget.seconds()
        except BudgetExhausted as error:
            self._end(job, JobState.FAILED, error=str(error), evaluations=0)
            return
        with seconds:
            try:
                await self._ask(job)
            finally:
                job.seconds = time.monotonic() - job.begun if job.begun is not None else 0.0
                seconds.settle(**{DEVICE_SECONDS: round(job.seconds, 3)})

    async def _ask(self, job: Job) -> None:
        job.state, job.stage = JobState.RUNNING, "starting"
        request, limit = self._request(job)
        try:
            if self._worker is None or not self._worker.alive:
                self._worker = await Worker.start(self._sandbox, self._policy, self.menu.added)
            if job.unwanted:
                raise WorkerEnded("it was given up before it began")
            async with asyncio.timeout(None) as clock:

                def observe(event: Mapping[str, Any]) -> None:
                    if event.get("begun"):
                        job.begun = time.monotonic()
                        clock.reschedule(asyncio.get_running_loop().time() + limit)
                    job.stage = event.get("stage", job.stage)
                    job.progress |= event.get("progress", {})

                reply = await self._worker.ask(request, observe)
        except TimeoutError:
            await self._drop_worker()
            self._end(job, JobState.FAILED, error=f"given up after {limit:.0f} s; make the problem smaller")
        except WorkerEnded as error:
            await self._drop_worker()
            state = JobState.CANCELLED if job.unwanted else JobState.FAILED
            self._end(job, state, error="" if job.unwanted else str(error))
        except Exception as error:  # one job's trouble is not the next one's
            traceback.print_exc()
            await self._drop_worker()
            self._end(
                job, JobState.FAILED, error=f"a defect of kopt ({type(error).__name__}), please report it"
            )
        else:
            if job.unwanted:  # it was asked to stop while it answered
                await self._drop_worker()
            if "result" in reply:
                self._end(job, JobState.DONE, result=reply["result"])
            else:
                made = job.progress.get("evaluated", 0)
                self._end(job, JobState.FAILED, error=reply["error"], evaluations=made)

    def _request(self, job: Job) -> tuple[dict[str, Any], float]:
        """What the worker is sent, with the job's share of the budget; and how long it may take."""
        wanted = job.request.options.get("seconds")
        seconds = min(self.budget.seconds_left, math.inf if wanted is None else wanted)
        granted = job.reservation.amounts.get(EVALUATIONS, math.inf)
        share = {
            "seconds": seconds if math.isfinite(seconds) else None,
            "evaluations": int(granted) if math.isfinite(granted) else None,
        }
        searching = job.request.kind == "submit" and not job.request.candidates
        limit = MOST_SECONDS + (seconds if searching and math.isfinite(seconds) else 0.0)
        return {**to_json(job.request), "options": {**job.request.options, **share}}, limit

    def _end(
        self,
        job: Job,
        state: JobState,
        *,
        result: dict[str, Any] | None = None,
        error: str = "",
        evaluations: float | None = None,
    ) -> None:
        """Settle what it cost: what is known of it, else all that it had reserved."""
        job.state, job.result, job.error, job.stage = state, result, error, ""
        used = job.reservation.amounts.get(EVALUATIONS, 0.0) if evaluations is None else evaluations
        if evaluations is None:
            used = (result or job.progress).get("evaluated", used)
        job.reservation.settle(**{EVALUATIONS: used if math.isfinite(used) else 0.0})
        job.ended.set()

    async def _kill_later(self, worker: Worker) -> None:
        await worker.end(STOP_SECONDS)

    async def _drop_worker(self) -> None:
        worker, self._worker = self._worker, None
        killing, self._killing = self._killing, None
        if killing is not None:
            killing.cancel()
        if worker is not None:
            await worker.end()

    def _forget(self) -> None:
        """Jobs that have long ended."""
        for name in [name for name, job in self._jobs.items() if job.ended.is_set()][:-MOST_KEPT]:
            del self._jobs[name]
