"""The tools: what each is told, what it asks of the service, and how it answers."""

from __future__ import annotations

import asyncio
import json
import math
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from kopt.cli.mcp import arguments as given
from kopt.cli.mcp.shelf import Shelf
from kopt.errors import KoptError, UsageError
from kopt.rl.service import answers, library
from kopt.rl.service.job import Job, JobState
from kopt.rl.service.jobs import Service
from kopt.rl.service.requests import (
    CandidateText,
    Request,
    check_candidate,
    check_overrides,
)


@dataclass(frozen=True)
class Answer:
    """What a tool says: an object, or one line where it could not do what was asked."""

    content: Mapping[str, Any]
    error: str = ""

    @property
    def text(self) -> str:
        """For clients that read text only."""
        return self.error or json.dumps(self.content)


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One tool. ``reads`` ones change nothing."""

    name: str
    description: str
    arguments: type[given.Arguments]
    run: Callable[[Toolbox, Any], Awaitable[Answer]]
    reads: bool = False


class Toolbox:
    """The tools over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._problems: Shelf[str] = Shelf("p-")
        self._candidates: Shelf[CandidateText] = Shelf("c-")

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Answer:
        """Call a tool. What is wrong with the call or its subject is an answer, not an exception.

        Raises:
            KeyError: there is no such tool.
        """
        tool = TOOLS[name]
        try:
            return await tool.run(self, tool.arguments.model_validate(arguments))
        except ValidationError as error:
            return Answer({}, given.complaint(error))
        except KoptError as error:
            return Answer({}, answers.line(str(error)))
        except Exception as error:
            traceback.print_exc()
            return Answer({}, f"a defect of kopt ({type(error).__name__}): the server's log says where")

    async def describe_problem(self, asked: given.DescribeProblem) -> Answer:
        """What a candidate's author needs to know."""
        request = Request(kind="describe", **self._about(asked))
        return await self._work(request, evaluations=0, wait=asked.wait_seconds)

    async def evaluate(self, asked: given.Evaluate) -> Answer:
        """The judge's word on one candidate."""
        candidate, name = self._candidate(asked.candidate, asked)
        request = Request(
            kind="evaluate",
            candidates=(candidate,),
            options={"effort": asked.effort},
            **self._about(asked),
        )
        return await self._work(request, evaluations=1, wait=asked.wait_seconds, candidate=name)

    async def profile(self, asked: given.Profile) -> Answer:
        """Where the time of a candidate, or of the reference, goes."""
        names: dict[str, str] = {}
        candidates: tuple[CandidateText, ...] = ()
        if asked.candidate is not None:
            candidate, names["candidate"] = self._candidate(asked.candidate, asked)
            candidates = (candidate,)
        request = Request(kind="profile", candidates=candidates, **self._about(asked))
        wait, evaluations = asked.wait_seconds, len(candidates)
        return await self._work(request, evaluations=evaluations, wait=wait, background=False, **names)

    async def compare(self, asked: given.Compare) -> Answer:
        """Two candidates, timed against each other."""
        (first, name), (second, other) = (
            self._candidate(one, asked) for one in (asked.candidate, asked.against)
        )
        request = Request(
            kind="compare",
            candidates=(first, second),
            options={"effort": asked.effort},
            **self._about(asked),
        )
        wait = asked.wait_seconds
        return await self._work(request, evaluations=2, wait=wait, candidate=name, against=other)

    async def submit(self, asked: given.Submit) -> Answer:
        """For the library: judge the candidate given, or search for one."""
        names: dict[str, str] = {}
        candidates: tuple[CandidateText, ...] = ()
        wanted: float = 1
        options: dict[str, Any] = {"name": asked.name}
        if asked.candidate is not None:
            candidate, names["candidate"] = self._candidate(asked.candidate, asked)
            candidates = (candidate,)
        else:
            options["seconds"] = asked.budget_seconds
            left = self._service.budget.left().get("evaluations", math.inf)
            wanted = max(1, min(asked.budget_evaluations or math.inf, left))
        request = Request(kind="submit", candidates=candidates, options=options, **self._about(asked))
        return await self._work(
            request, evaluations=wanted, wait=asked.wait_seconds, background=True, **names
        )

    async def job_status(self, asked: given.JobStatus) -> Answer:
        """How a job stands."""
        job = self._service.job(asked.job)
        await self._service.wait(job, asked.wait_seconds)
        return self._told(job)

    async def job_cancel(self, asked: given.OfJob) -> Answer:
        """Give a job up."""
        job = self._service.job(asked.job)
        self._service.cancel(job)
        await self._service.wait(job, 15)
        return self._told(job)

    async def library_search(self, asked: given.LibrarySearch) -> Answer:
        """Verified kernels that resemble a query."""
        found = await asyncio.to_thread(library.search, asked.query, limit=asked.limit, sources=asked.sources)
        return Answer({"kernels": found})

    def _about(self, asked: given.About) -> dict[str, Any]:
        problem = self._problems.get(asked.problem) or self._service.menu.check(asked.problem)
        return {"problem": problem, "overrides": check_overrides(dict(asked.overrides))}

    def _candidate(self, asked: given.CandidateGiven | str, about: given.About) -> tuple[CandidateText, str]:
        if isinstance(asked, str):
            known = self._candidates.get(asked)
            if known is None:
                raise UsageError(
                    f"no candidate {asked[:40]!r}: send its files, or the id that `evaluate` gave for them"
                )
            return known, asked
        code = self._service.menu.is_code(about.problem)
        candidate = check_candidate(CandidateText(files=dict(asked.files), entry=asked.entry), code=code)
        return candidate, self._candidates.put(candidate, [asked.files, asked.entry])

    async def _work(
        self, request: Request, *, evaluations: float, wait: float, background: bool = False, **names: str
    ) -> Answer:
        """Take a job and wait for it a while; a caller who goes away meanwhile has no use for it."""
        job = self._service.take(request, evaluations=evaluations)
        if "\n" in request.problem:
            names["problem"] = self._problems.put(request.problem, request.problem)
        job.names.update(names)
        try:
            await self._service.wait(job, wait)
        except asyncio.CancelledError:
            if not background:
                self._service.cancel(job)
            raise
        return self._told(job)

    def _told(self, job: Job) -> Answer:
        content = job.view(self._service.ahead(job))
        left = self._service.budget.left()
        if left:
            content["budget_left"] = left
        return Answer(content, job.error if job.state is JobState.FAILED else "")


_JOB = "Answers with the result, or a job handle when it takes longer than wait_seconds."
TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            name="describe_problem",
            description="What to compute: the reference, the call a candidate must answer to (with a C++ frame), the "
            "workloads that may be known, and this machine; of a code problem its files, what may be changed, and its "
            f"commands. Start here. {_JOB}",
            arguments=given.DescribeProblem,
            run=Toolbox.describe_problem,
            reads=True,
        ),
        Tool(
            name="evaluate",
            description="Have the judge build, verify and time one candidate: verdict, reason, worst mismatch, "
            f"speed-ups with 95 % intervals, roofline. Costs one evaluation. {_JOB}",
            arguments=given.Evaluate,
            run=Toolbox.evaluate,
        ),
        Tool(
            name="profile",
            description="Where does the time go? One named bottleneck with evidence and the method against it, the "
            "hottest loop's instructions, the reference's operators. A candidate is verified first and costs one "
            f"evaluation; the reference costs none. {_JOB}",
            arguments=given.Profile,
            run=Toolbox.profile,
        ),
        Tool(
            name="compare",
            description="How much faster is one candidate than another? Both are timed in turn on the first workload. "
            f"Costs two evaluations; it is no verdict. {_JOB}",
            arguments=given.Compare,
            run=Toolbox.compare,
        ),
        Tool(
            name="submit",
            description="For the library, in the background: a candidate is judged with full effort and sanitizers "
            "and admitted if it certainly beats every baseline; without one, kopt itself searches within the "
            "budget. A change to a code problem that wins becomes a git patch. Answers with a job handle.",
            arguments=given.Submit,
            run=Toolbox.submit,
        ),
        Tool(
            name="job_status",
            description="How a job stands: queued, running (and its stage), done (and its result), failed, cancelled.",
            arguments=given.JobStatus,
            run=Toolbox.job_status,
            reads=True,
        ),
        Tool(
            name="job_cancel",
            description="Give a job up, whether it waits or runs.",
            arguments=given.OfJob,
            run=Toolbox.job_cancel,
        ),
        Tool(
            name="library_search",
            description="Verified kernels of this machine that resemble a query, with their measured speed-ups and, if "
            "asked for, their sources. Costs nothing.",
            arguments=given.LibrarySearch,
            run=Toolbox.library_search,
            reads=True,
        ),
    )
}
