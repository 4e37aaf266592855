"""Run a C++ candidate once under AddressSanitizer, UndefinedBehaviorSanitizer and, when parallel, ThreadSanitizer.

Right answers can come from wrong programs: an access out of bounds hits the neighbour's padding, two threads
happen not to meet. A sanitized build shows that. It is slow to make, so it is made where it counts: before a kernel
is admitted, when a person asks, and to explain a crash. What cannot be checked is said, and passes: no candidate is
refused for something a sanitizer does not understand.
"""

from __future__ import annotations

import signal as signals
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from kopt.sandbox import sanitized
from kopt.verifiers import sanitizer_report
from kopt.verifiers.cases import Case
from kopt.verifiers.contestant import Failure
from kopt.verifiers.dtypes import KINDS, widen
from kopt.verifiers.layout import Layout
from kopt.verifiers.ring import Ring
from kopt.verifiers.sanitizer_report import Fault
from kopt.verifiers.workbench import Workbench
from kopt.words import Candidate, Language, Verdict

if TYPE_CHECKING:
    from kopt.verifiers.evaluator import Evaluator
    from kopt.verifiers.trial import Trial

SECONDS = 20.0
"""The most one sanitized run may take."""
MOST_BYTES = 256 << 20
"""The largest workload that is run: shadow memory comes on top."""
MOST_CALL_SECONDS = 0.3
"""The longest the reference may take on it: instrumented code is some ten times slower, and often on one core."""
NAMES = {"address": "address and undefined sanitizers", "thread": "thread sanitizer"}
"""How a record calls them."""
_FAULTS = {signals.SIGSEGV, signals.SIGBUS, signals.SIGFPE, signals.SIGILL, signals.SIGABRT, signals.SIGTRAP}
_PARALLEL = (b"GOMP_", b"pthread_create", b"_ZNSt6thread", b"thrd_create")


def is_parallel(artifact: bytes) -> bool:
    """Whether a built candidate starts threads, by the symbols it needs."""
    return any(symbol in artifact for symbol in _PARALLEL)


def check(evaluator: Evaluator, candidate: Candidate, artifact: bytes | None) -> dict[str, str]:
    """Run a candidate that was verified, on the smallest workload; a record's lines, a sanitizer each.

    Raises:
        Failure: a sanitizer found something; the reason tells what and where.
    """
    bench = min((*evaluator.smoke, *evaluator.timed), key=lambda bench: bench.slot_bytes)
    told, fault = examine(evaluator, bench, candidate, artifact)
    if fault is not None:
        verdict = Verdict.CRASHED if fault.fatal else Verdict.WRONG
        raise Failure(verdict, str(fault), file=fault.file, line=fault.line, **told)
    return told


def explained(trial: Trial, failure: Failure) -> Failure:
    """The failure itself or, for a C++ candidate that a signal ended, one that names the line."""
    if failure.verdict is not Verdict.CRASHED or failure.detail.get("signal") not in _FAULTS:
        return failure
    for bench in (*trial.evaluator.smoke, *trial.evaluator.timed):
        fault = examine(trial.evaluator, bench, trial.candidate, trial.artifact)[1]
        if fault is not None:
            detail = {**failure.detail, "file": fault.file, "line": fault.line}
            return Failure(failure.verdict, f"{failure.reason.partition(': ')[0]}: {fault}", **detail)
    return failure


def examine(
    evaluator: Evaluator, bench: Workbench, candidate: Candidate, artifact: bytes | None
) -> tuple[dict[str, str], Fault | None]:
    """What each sanitizer has to say, ``clean`` or ``not checked: ...``, and the first fault."""
    if candidate.language is not Language.CPP:
        return {}, None
    wanted = ["address", *(["thread"] if is_parallel(artifact or b"") else [])]
    builder = evaluator.sandbox.builder
    large = _too_large(bench)
    told, left = {}, []
    for name in wanted:
        if not builder.can_sanitize(name):
            told[NAMES[name]] = "not checked: its runtime is not installed, `kopt doctor` tells more"
        elif large:
            told[NAMES[name]] = f"not checked: {large}"
        else:
            left.append(name)
    if not left:
        return told, None
    with ThreadPoolExecutor(len(left)) as pool:
        builds = list(pool.map(lambda name: builder.build(candidate, sanitizer=name), left))
    for name, built in zip(left, builds, strict=True):
        if not built.ok or built.artifact is None:
            told[NAMES[name]] = f"not checked: {(built.first_error or 'it does not build')[:200]}"
            continue
        told[NAMES[name]], fault = _run(evaluator, bench, candidate, name, built.artifact)
        if fault is not None:
            return told, fault
    return told, None


def _too_large(bench: Workbench) -> str:
    if bench.slot_bytes > MOST_BYTES or bench.call_seconds > MOST_CALL_SECONDS:
        return (
            f"workload {bench.name} is too large to run under a sanitizer; a problem with smoke shapes is not"
        )
    return ""


def _run(
    evaluator: Evaluator, bench: Workbench, candidate: Candidate, sanitizer: str, program: bytes
) -> tuple[str, Fault | None]:
    case = bench.cases.cases[0]
    layout = Layout(1, bench.layout.stride, bench.layout.places)
    ring = Ring(layout)
    try:

        def once(fill: int) -> sanitized.SanitizedRun:
            ring.put_inputs(0, case.inputs)
            ring.poison(slice(0, 1))
            with ExitStack() as lent:
                files = [lent.enter_context(ring.buffer.lent())]
                if bench.state:
                    files.append(lent.enter_context(bench.state[0].lent(writable=False)))
                return sanitized.run(
                    evaluator.sandbox,
                    program,
                    arguments(layout, bench.state[1] if bench.state else None),
                    files,
                    seconds=SECONDS,
                    shared_bytes=layout.size + (bench.state[1].size if bench.state else 0),
                    fill=fill,
                )

        done = once(0xFF)
        fault = sanitizer_report.find(done.text, candidate.sources)
        unfinished = done.stopped or sanitizer_report.reached_its_end(done.text)
        if fault is None and not unfinished and sanitizer == "address":
            place = _nan(case, ring)
            if place and not once(0).stopped and not _nan(case, ring):
                fault = Fault(
                    "uninitialised memory", f"{place} is NaN when fresh memory is; initialise scratch memory"
                )
    finally:
        ring.close()
    if fault is not None:
        return f"{fault.kind}", fault
    return (f"not checked: {unfinished}" if unfinished else "clean"), None


def arguments(layout: Layout, state: Layout | None) -> list[dict[str, Any]]:
    """Inputs, state and outputs in the order a kernel takes them, with where their bytes lie."""

    def told(places: Sequence[Any], file: int) -> list[dict[str, Any]]:
        return [
            {
                "name": place.spec.name,
                "dtype": place.spec.dtype,
                "shape": list(place.spec.shape),
                "strides": list(place.spec.strides),
                "role": place.role if file == 0 else "state",
                "file": file,
                "offset": place.offset,
                "nbytes": place.nbytes,
            }
            for place in places
        ]

    between = told(state.places, 1) if state is not None else []
    return [*told(layout.role("input"), 0), *between, *told(layout.role("output"), 0)]


def _nan(case: Case, ring: Ring) -> str:
    """The first output element that is NaN where the truth is not."""
    for place, expected, stored in zip(
        ring.layout.role("output"), case.expected, ring.outputs_of(0), strict=True
    ):
        if KINDS[place.spec.dtype].floating and stored.size:
            odd = np.isnan(widen(stored, place.spec.dtype)) & ~np.isnan(expected.truth)
            if odd.any():
                return f"{place.spec.name}[{', '.join(map(str, place.index(int(odd.argmax()))))}]"
    return ""
