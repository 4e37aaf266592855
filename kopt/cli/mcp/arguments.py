"""What clients may send to each tool. Their JSON schemas are made from these models, and nothing else gets in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kopt.rl.service.requests import MOST_PROBLEM_BYTES, Value

Wait = Annotated[
    float, Field(ge=0, le=300, description="Seconds to wait for the answer before a job handle is given.")
]


class Arguments(BaseModel):
    """Exactly the fields of the model, of exactly their types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CandidateGiven(Arguments):
    """A candidate's texts."""

    files: dict[str, str] = Field(
        description="File name -> text, e.g. {'kernel.cpp': '...'}, of a code problem the changed files, whole; "
        "at most 16 files, 512 KiB together."
    )
    entry: str | None = Field(
        default=None, max_length=200, description="FILE::SYMBOL; needed only with several source files."
    )


Candidate = Annotated[
    CandidateGiven | str,
    Field(description="The candidate's files, or the id (c-...) that `evaluate` gave for them."),
]


class About(Arguments):
    """A problem."""

    problem: str = Field(
        min_length=1,
        max_length=MOST_PROBLEM_BYTES,
        description="The name of a problem that the server knows, the text of a problem file, or its id (p-...). "
        "Paths are not read.",
    )
    overrides: dict[str, Value] = Field(
        default_factory=dict, description="New values for the problem's constants, e.g. {'batch': 16}."
    )


class DescribeProblem(About):
    """Arguments of ``describe_problem``."""

    wait_seconds: Wait = 45


class Evaluate(About):
    """Arguments of ``evaluate``."""

    candidate: Candidate
    effort: Literal["verify", "quick", "full"] = Field(
        default="quick",
        description="verify: is it right? quick: and how fast, roughly. full: every baseline, tight intervals.",
    )
    wait_seconds: Wait = 45


class Profile(About):
    """Arguments of ``profile``."""

    candidate: Candidate | None = Field(
        default=None, description="What to profile; without it the reference."
    )
    wait_seconds: Wait = 45


class Compare(About):
    """Arguments of ``compare``."""

    candidate: Candidate
    against: Candidate
    effort: Literal["quick", "full"] = "quick"
    wait_seconds: Wait = 45


class Submit(About):
    """Arguments of ``submit``."""

    candidate: Candidate | None = Field(
        default=None, description="What to judge for the library; without it kopt searches by itself."
    )
    name: str | None = Field(default=None, max_length=63, description="The kernel's name in the library.")
    budget_seconds: float = Field(default=120, ge=10, le=3600, description="For the search.")
    budget_evaluations: int | None = Field(default=None, ge=1, le=10_000, description="For the search.")
    wait_seconds: Wait = 0


class OfJob(Arguments):
    """Arguments of ``job_cancel``."""

    job: str = Field(max_length=64, description="A handle that another tool has answered with.")


class JobStatus(OfJob):
    """Arguments of ``job_status``."""

    wait_seconds: Wait = 0


class LibrarySearch(Arguments):
    """Arguments of ``library_search``."""

    query: str = Field(default="", max_length=MOST_PROBLEM_BYTES, description="Words, or a problem's text.")
    limit: int = Field(default=5, ge=1, le=20)
    sources: bool = Field(default=False, description="With the kernels' sources, 64 KiB at most.")


def complaint(error: ValidationError) -> str:
    """The first thing that is wrong, in one line, without what was sent."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # A union's branches are named in the place; people know the fields only.
    place = ".".join(str(part)[:40] for part in first["loc"] if not str(part)[:1].isupper() and part != "str")
    return f"{place or 'arguments'}: {first['msg'][:200]}; the tool's schema says what it takes"
