"""What a proposer sees, and what a proposer is. Imports no torch: proposers reason about text and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from kopt.words import Candidate, Evaluation, Problem, WorkloadSpec

MACHINE = ("cpu", "cores", "threads", "isa", "caches", "compiler")
"""What of an environment a proposer is told: who writes a kernel needs it."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a strategy wants made: by which role, and from which candidate (None: afresh)."""

    role: str
    parent: tuple[Candidate, Evaluation] | None = None


@dataclass(frozen=True, kw_only=True)
class Similar:
    """A verified kernel for a similar problem; ``gain`` is its speed-up where it was verified."""

    name: str
    language: str
    gain: float
    source: str


@dataclass(frozen=True)
class Cost:
    """What proposing took: dollars, and seconds of waiting."""

    dollars: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.dollars + other.dollars, self.seconds + other.seconds)


@dataclass(frozen=True, kw_only=True)
class Context:
    """Everything known about a problem when the next candidate is wanted.

    ``graph`` is the trace as JSON (None when it has not been taken, or failed), or a list of traces at different
    sizes. ``machine`` holds the facts a schedule may depend on: ``cores``, ``l1_bytes``, ``l2_bytes``,
    ``l3_bytes``. ``history`` is in order of evaluation. ``wanted`` is None where the proposer may choose what to do.
    ``sample`` counts how often the proposer was asked for the same (role and parent) before: what it says must not hang
    on anything else it was asked. ``similar`` are the library's kernels that may help, most similar first.
    """

    problem: Problem
    specs: tuple[WorkloadSpec, ...] = ()
    graph: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[tuple[Candidate, Evaluation], ...] = ()
    incumbent: tuple[Candidate, Evaluation] | None = None
    wanted: Wanted | None = None
    sample: int = 0
    similar: tuple[Similar, ...] = ()


@runtime_checkable
class Proposer(Protocol):
    """Anything that makes candidates: a generator, a tuner, a model, a person."""

    name: str

    def propose(self, context: Context) -> Iterable[Candidate]:
        """Candidates worth evaluating next, best guess first; lazily, so that unwanted ones are never made."""
        ...
