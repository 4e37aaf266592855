"""Profile a candidate, or a reference, in processes of its own: gather facts, name one bottleneck.

Made after everything is judged, and never raises for what a candidate does: what could not be found out is a note.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kopt.errors import KoptError
from kopt.sandbox import BuildResult
from kopt.sandbox.errors import RunnerError
from kopt.verifiers import roofline as rooflines
from kopt.verifiers import sanitize
from kopt.verifiers.contestant import Failure
from kopt.verifiers.profile import activity, breakdown, gpu_loops, hot, listing, occupancy, sass
from kopt.verifiers.profile.breakdown import Breakdown
from kopt.verifiers.profile.decide import decide
from kopt.verifiers.profile.facts import Facts
from kopt.words import Candidate, Language, Profile, Verdict, to_json

if TYPE_CHECKING:
    from kopt.verifiers.evaluator import Evaluator
    from kopt.verifiers.trial import Trial
    from kopt.verifiers.workbench import Workbench


@dataclass
class Known:
    """What is the same for all candidates of an evaluator, by workload: found out once."""

    breakdowns: dict[str, Breakdown] = field(default_factory=dict)
    empty: dict[tuple[str, bool], float | None] = field(default_factory=dict)


def wanted(candidate: Candidate, verdict: Verdict, built: bool) -> bool:
    """Whether there is something to profile: what is right or, for CUDA where it cannot run, what was built."""
    return verdict is Verdict.CORRECT or (
        candidate.language is Language.CUDA and verdict is Verdict.REJECTED and built
    )


def of_candidate(trial: Trial) -> Profile:
    """Profile what a trial has judged."""
    evaluator, candidate = trial.evaluator, trial.candidate
    bench = _bench(evaluator)
    facts = _begin(evaluator, bench)
    with _noted(facts, "the reference's operators"):
        known = evaluator.profiled.breakdowns
        if bench.name not in known:
            known[bench.name] = breakdown.of_reference(evaluator, bench, watched=False)
        facts.operators, facts.dispatch = known[bench.name].operators, known[bench.name].dispatch
    if not candidate.language.timed:
        facts.kernels = occupancy.kernels(trial.build)
        with _noted(facts, "the kernels' machine code"):
            _look_at_kernels(evaluator, candidate, facts)
        facts.notes.append(
            "nothing was timed: registers, spills and shared memory are those of the build ahead of time"
        )
        return facts.profile(decide(facts))
    if candidate.language is Language.CPP:
        with _noted(facts, "the hot loop"):
            _look_at_code(evaluator, candidate, facts)
    elif trial.delegation is not None:
        facts.own = tuple((use.calls, use.bytes) for use in trial.delegation.operators)
    with _noted(facts, "its time and threads"):
        facts.take(activity.of_candidate(evaluator, bench, candidate, trial.artifact))
    if candidate.language is Language.CPP:
        with _noted(facts, "what an empty kernel takes"):
            facts.empty_seconds = _empty(evaluator, bench, sanitize.is_parallel(trial.artifact or b""))
    timed = trial.timing.get("candidate") or trial.timing.get(f"{bench.name}/candidate")
    facts.seconds = timed.median if timed is not None else facts.seconds
    _bound(evaluator, bench, facts)
    return facts.profile(decide(facts))


def of_reference(evaluator: Evaluator) -> Profile:
    """Profile the reference itself.

    Raises:
        ProblemError: it stopped working.
    """
    bench = _bench(evaluator)
    facts = _begin(evaluator, bench)
    found = breakdown.of_reference(evaluator, bench, watched=True)
    facts.operators, facts.dispatch = found.operators, found.dispatch
    facts.own = tuple((use.calls, use.bytes) for use in found.operators)
    if found.activity is not None:
        facts.take(found.activity)
    _bound(evaluator, bench, facts)
    return facts.profile(decide(facts))


def _bench(evaluator: Evaluator) -> Workbench:
    """The timed workload that takes the reference longest."""
    return max(evaluator.timed, key=lambda bench: bench.call_seconds)


def _begin(evaluator: Evaluator, bench: Workbench) -> Facts:
    found = evaluator.environment.get("isa")
    isa = [str(name) for name in found] if isinstance(found, (list, tuple)) else []
    wide = 64 if "avx512f" in isa else 32 if "avx" in isa or "avx2" in isa else 16
    return Facts(
        workload=bench.name,
        threads=int(evaluator.sandbox.threads),
        vector_bytes=wide,
        bytes_required=bench.spec.bytes_required,
        flops=bench.spec.flops,
    )


def _empty(evaluator: Evaluator, bench: Workbench, parallel: bool) -> float | None:
    known, key = evaluator.profiled.empty, (bench.name, parallel)
    if key not in known:
        known[key] = activity.empty_seconds(evaluator, bench, parallel=parallel)
    return known[key]


def _look_at_code(evaluator: Evaluator, candidate: Candidate, facts: Facts) -> None:
    built = _profiled(evaluator, candidate)
    if not built.ok:
        facts.notes.append(f"no look at the code: {(built.first_error or 'it did not build again')[:200]}")
        return
    found = listing.read(built.artifact, candidate.sources)
    facts.loops = hot.loops(found)
    if facts.loops:
        facts.notes.append(hot.HOW)
    elif built.report.get("objdump") is not True:
        facts.notes.append("no disassembly: objdump is not installed (binutils)")
    else:
        facts.notes.append("no loop of the candidate's own was found in the disassembly")


def disassembly(evaluator: Evaluator, candidate: Candidate) -> list[str]:
    """All that a profiled build lists of a candidate in C++, CUDA or Triton: anybody's words, but printable."""
    if candidate.language is Language.TORCH:
        return []
    built = _profiled(evaluator, candidate)
    return [
        "".join(letter if letter.isprintable() else " " for letter in line)
        for line in listing.raw(built.artifact)
    ]


def _profiled(evaluator: Evaluator, candidate: Candidate) -> BuildResult:
    spec = to_json(evaluator.specs[0]) if candidate.language is Language.TRITON else None
    return evaluator.sandbox.builder.build(candidate, spec_json=spec, profiled=True)


def _look_at_kernels(evaluator: Evaluator, candidate: Candidate, facts: Facts) -> None:
    spec = evaluator.specs[0]
    built = _profiled(evaluator, candidate)
    tensors = (*spec.tensors, *spec.state, *spec.outputs)
    facts.dtypes = frozenset(tensor.dtype for tensor in tensors)
    loops = {
        occupancy.shortened(function.name): gpu_loops.hot(function)
        for function in sass.read(built.artifact, candidate.sources)
    }
    facts.kernels = tuple(replace(kernel, loop=loops.get(kernel.name)) for kernel in facts.kernels)
    if facts.kernels and not loops:
        facts.notes.append("no machine code: nvdisasm is not installed (it comes with CUDA, and with triton)")


def _bound(evaluator: Evaluator, bench: Workbench, facts: Facts) -> None:
    peaks = evaluator.peaks
    if peaks is None or not facts.seconds:
        return
    output = sum(place.nbytes for place in bench.layout.role("output"))
    facts.roofline = rooflines.roofline(peaks, bench.spec, output, facts.seconds)
    # Measuring the peaks again is the judge's, who believes them: what is profiled is not checked.
    if facts.roofline is not None and facts.roofline.percent > 100:
        facts.notes.append(
            "faster than the machine's measured peaks allow: they were measured in a slow moment"
        )


@contextmanager
def _noted(facts: Facts, what: str) -> Iterator[None]:
    try:
        yield
    except (Failure, KoptError, RunnerError) as error:
        facts.notes.append(f"{what} could not be found out: {' '.join(str(error).split())[:200]}")
