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

_FEWEST, _MOST = 6, 100
_ENOUGH, _SECONDS = 0.1, 0.5
"""Short rounds are many, for a busy machine disturbs most of them."""
_ROUND = 0.02
"""Seconds of a round: too short to be disturbed each time, long enough to go through more than the caches."""
_EMPTY = Path(__file__).with_name("empty.cpp")


@dataclass(frozen=True)
class Activity:
    """Seconds a call (None when too short to tell); how many threads shared the work evenly; counters a call."""

    seconds: float | None
    cores: float | None
    counters: dict[str, float] = field(default_factory=dict)
    why_no_counters: str = ""


def watch(pid: int, slots: int, ask: Callable[[int, int], float]) -> Activity:
    """Time rounds (first slot, number of calls) through the ring until there is enough to tell; the fastest counts.

    ``ask`` gives a round's seconds, those of an empty one included. ``cores`` is all threads' time over that of the
    busiest: waiting in a barrier counts as work, a neighbour's load does not count at all.
    """
    ask(0, 1)
    empty = min(ask(0, 0) for _ in range(_MOST))

    def time_round(start: int, count: int) -> float:
        return max(0.0, ask(start, count) - empty)

    alone = max(min(time_round(number % slots, 1) for number in range(3)), 1e-9)
    count = max(1, min(slots, int(_ROUND / alone)))
    time_round(0, count)
    best, spent, calls = float("inf"), 0.0, 0
    before = processes.thread_seconds(pid)
    with Counters(pid) as counters:
        start = counters.read()
        for number in range(_MOST):
            if spent >= _SECONDS or (number >= _FEWEST and spent >= _ENOUGH):
                break
            seconds = time_round(number * count % (slots - count + 1), count)
            best, spent, calls = min(best, seconds / count), spent + seconds, calls + count
        counted = {name: (value - start[name]) / calls for name, value in counters.read().items()}
        why = counters.why
    ran = [seconds - before.get(task, 0.0) for task, seconds in processes.thread_seconds(pid).items()]
    cores = sum(ran) / max(ran) if ran and max(ran) > 0 else None
    return Activity(best or None, round(cores, 2) if cores else None, {} if why else counted, why)


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

    def ask(start: int, count: int) -> float:
        return contestant.round(Stretch(start, count), "while it was profiled")

    return watch(contestant.runner.pid, contestant.layout.slots, ask)


def empty_kernel(tensors: int, *, parallel: bool) -> Candidate:
    """A kernel of so many arguments that does nothing, with or without a parallel region."""
    text = _EMPTY.read_text().replace("TENSORS", ", ".join(["tvm::ffi::TensorView"] * tensors))
    return Candidate(
        sources={"empty.cpp": text},
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
    spec = bench.spec
    kernel = empty_kernel(len(spec.tensors) + len(spec.state) + len(spec.outputs), parallel=parallel)
    built = evaluator.sandbox.builder.build(kernel)
    if not built.ok or built.artifact is None:
        return None
    return of_candidate(evaluator, bench, kernel, built.artifact).seconds
