"""Watch one process work, from outside: a call's time by the judge's clock, its threads by the kernel's account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kopt.sandbox import processes
from kopt.verifiers.clock import Stretch
from kopt.verifiers.contestant import Contestant
from kopt.verifiers.profile.counters import Counters
from kopt.words import Candidate, Language, Style

if TYPE_CHECKING:
    from kopt.verifiers.evaluator import Evaluator
    from kopt.verifiers.workbench import Workbench

_ROUNDS, _SECONDS = 6, 0.5
_LONG = 0.25
"""Seconds that one round may take, if it has more than one call."""
_EMPTY = Path(__file__).with_name("empty.cpp")


@dataclass(frozen=True)
class Activity:
    """Seconds a call; how many threads shared the work evenly (None where nobody counts); counters a call."""

    seconds: float
    cores: float | None
    counters: dict[str, float] = field(default_factory=dict)
    why_no_counters: str = ""


def watch(pid: int, slots: int, time_round: Callable[[int], float]) -> Activity:
    """Call ``time_round`` on counts of calls until there is enough to tell; the fastest round counts.

    ``cores`` is all threads' time over that of the busiest: waiting in a barrier counts as work, a neighbour's load
    does not count at all.
    """
    alone = max(time_round(1), 1e-9)
    count = max(1, min(slots, int(_LONG / alone)))
    time_round(count)
    best, spent, calls = float("inf"), 0.0, 0
    before = processes.thread_seconds(pid)
    with Counters(pid) as counters:
        start = counters.read()
        while calls < _ROUNDS * count and spent < _SECONDS:
            seconds = time_round(count)
            best, spent, calls = min(best, seconds / count), spent + seconds, calls + count
        counted = {name: (value - start[name]) / calls for name, value in counters.read().items()}
        why = counters.why
    ran = [seconds - before.get(task, 0.0) for task, seconds in processes.thread_seconds(pid).items()]
    cores = sum(ran) / max(ran) if ran and max(ran) > 0 else None
    return Activity(best, round(cores, 2) if cores else None, {} if why else counted, why)


def of_candidate(
    evaluator: Evaluator, bench: Workbench, candidate: Candidate, artifact: bytes | None
) -> Activity:
    """A candidate in a process of its own, on declared inputs.

    Raises:
        Failure: it fails, which says nothing more about it here.
    """
    with evaluator.contestant(bench, candidate, artifact) as contestant:
        return _watched(contestant)


def _watched(contestant: Contestant) -> Activity:
    inputs = contestant.bench.cases.cases[0].inputs
    for slot in range(contestant.layout.slots):
        contestant.ring.put_inputs(slot, inputs)
    doing = "while it was profiled"
    contestant.round(Stretch(0, 1), doing)
    empty = min(contestant.empty() for _ in range(3))

    def time_round(count: int) -> float:
        return max(0.0, contestant.round(Stretch(0, count), doing) - empty)

    return watch(contestant.runner.pid, contestant.layout.slots, time_round)


def empty_kernel(*, parallel: bool) -> Candidate:
    """A kernel that does nothing, with or without a parallel region."""
    return Candidate(
        sources={"empty.cpp": _EMPTY.read_text()},
        language=Language.CPP,
        entry="empty.cpp::run",
        style=Style.DESTINATION,
        flags=("-DPARALLEL",) if parallel else (),
        proposer="kopt",
    )


def empty_seconds(evaluator: Evaluator, bench: Workbench, *, parallel: bool) -> float | None:
    """What a call of nothing takes on the same arguments, None where it cannot be built.

    Raises:
        Failure: it could not be run.
    """
    kernel = empty_kernel(parallel=parallel)
    built = evaluator.sandbox.builder.build(kernel)
    if not built.ok or built.artifact is None:
        return None
    return of_candidate(evaluator, bench, kernel, built.artifact).seconds
