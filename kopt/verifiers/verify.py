"""Run a candidate on verify cases and decide whether it is right, has touched its inputs, or works ahead."""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kopt.verifiers.cases import Case, Cases
from kopt.verifiers.clock import Stretch
from kopt.verifiers.compare import Finding
from kopt.verifiers.contestant import Contestant, Failure
from kopt.verifiers.dtypes import Array
from kopt.verifiers.layout import Bytes
from kopt.verifiers.ring import Ring
from kopt.verifiers.workbench import Workbench
from kopt.words import Language, Mismatch, Verdict

_SECRET = random.SystemRandom()
_WATCHED = 1 << 18
_REPEATS, _REPEATED_BYTES = 6, 6 << 20


class Watch:
    """Random bytes in a part, drawn anew each time, of the outputs of slots that are not to be called.

    Not what happens to lie there: a candidate that works ahead would write the same values again.
    """

    def __init__(self, ring: Ring, stretch: Stretch) -> None:
        self.ring = ring
        self.parts: list[tuple[slice, slice, Bytes]] = []
        decoys = [slice(0, stretch.start), slice(stretch.start + stretch.count, ring.layout.slots)]
        number = sum(d.stop - d.start for d in decoys)
        for place in ring.layout.role("output"):
            if not number or not place.nbytes:
                continue
            width = min(place.nbytes, max(64, _WATCHED // number))
            first = place.offset + _SECRET.randint(0, place.nbytes - width)
            for slots in decoys:
                window = slice(first, first + width)
                pattern = np.frombuffer(secrets.token_bytes(width), np.uint8)
                ring.rows[slots, window] = pattern
                self.parts.append((slots, window, pattern))

    def touched(self) -> bool:
        """Whether anything there has changed."""
        return any(bool((self.ring.rows[s, w] != pattern).any()) for s, w, pattern in self.parts)


@dataclass(frozen=True)
class Exhibit:
    """A wrong output and the inputs it was computed from, kept beyond the candidate's process."""

    bench: Workbench
    case: Case
    output: int
    stored: Array


@dataclass
class Verified:
    """What verification found: the worst finding of all, per case how near the budget it came, and what was left out.

    ``left_out`` names declared workloads on which nothing was verified.
    """

    exhibit: Exhibit | None = None
    worst: Mismatch | None = None
    ratio: float = 0.0
    rms: float = 0.0
    cases: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, contestant: Contestant, case: Case, output: int, finding: Finding) -> None:
        """Count one case in."""
        self.cases.append(
            {
                "workload": contestant.bench.name,
                "distribution": case.distribution,
                "error_over_budget": round(finding.ratio, 4),
                "rms_over_budget": round(finding.rms, 4),
            }
        )
        self.rms = max(self.rms, finding.rms)
        if self.worst is None or finding.ratio > self.ratio or not finding.passed:
            self.worst = mismatch(contestant, case.distribution, output, finding)
            self.ratio = max(self.ratio, finding.ratio)


def mismatch(
    contestant: Contestant, distribution: str, output: int, finding: Finding, origin: int = 0
) -> Mismatch:
    """A finding with its place in the output's own indices."""
    place = contestant.layout.role("output")[output]
    return Mismatch(
        workload=contestant.bench.name,
        distribution=distribution,
        output=place.spec.name,
        index=place.index(origin + finding.position) if finding.total else (),
        expected=finding.expected,
        got=finding.got,
        budget=finding.budget,
        count=finding.count,
        total=finding.total,
    )


def describe(worst: Mismatch, finding: Finding) -> str:
    """One line about a wrong output."""
    where = f"{worst.output}[{', '.join(map(str, worst.index))}]"
    got = "NaN (perhaps never written)" if worst.got != worst.got else f"{worst.got:.9g}"
    if finding.why == "rms":
        return (
            f"{worst.output} is less precise than the reference: rms {finding.rms:.3g} times the budget "
            f"near {where} ({worst.distribution} inputs): compute at the problem's precision"
        )
    return (
        f"{where} is {got}, expected {worst.expected:.9g} within {worst.budget:.3g}; {worst.count} of "
        f"{worst.total} elements are off ({worst.workload}, {worst.distribution} inputs): look at this one first"
    )


def run_cases(
    contestant: Contestant,
    cases: Sequence[Case],
    mutates_inputs: bool,
    into: Verified,
    doing: str,
    start: int | None = None,
) -> None:
    """One round over as many slots as there are cases (from ``start`` on, or anywhere), then compare everything.

    Raises:
        Failure: an output is wrong, an input was changed, a slot was touched that was not asked for.
    """
    ring = contestant.ring
    if start is None:
        start = _SECRET.randint(0, ring.layout.slots - len(cases))
    stretch = Stretch(start, len(cases))
    for slot, case in zip(stretch.slots, cases, strict=True):
        ring.put_inputs(slot, case.inputs)
    ring.poison(slice(start, start + len(cases)))
    fences = [ring.fence(slot) for slot in stretch.slots]
    watch = Watch(ring, stretch)
    contestant.round(stretch, doing)
    for slot, case, fence in zip(stretch.slots, cases, fences, strict=True):
        number, finding = case.check(ring.outputs_of(slot))
        into.add(contestant, case, number, finding)
        if not finding.passed:
            assert into.worst is not None
            wrong = ring.outputs_of(slot)[number].copy()
            into.exhibit = Exhibit(contestant.bench, case, number, wrong)
            raise Failure(Verdict.WRONG, describe(into.worst, finding))
        if not mutates_inputs and not ring.inputs_equal(slot, case.inputs):
            raise Failure(
                Verdict.WRONG,
                f"it changed its inputs ({case.distribution} inputs), which the reference leaves alone",
            )
        behind = ring.breached(slot, fence)
        if behind is not None:
            raise Failure(
                Verdict.WRONG, f"it wrote behind the end of {behind}: mask what reaches past the last element"
            )
    if watch.touched():
        raise Failure(
            Verdict.TAMPERED, "it wrote to slots it was not called on: do each call's work in that call"
        )


def verify(contestant: Contestant, cases: Cases, into: Verified, *, skip: int = 0) -> None:
    """All cases from number ``skip`` on, in random order, in two rounds or more over the same slots.

    Small ones come several times. So what depends on timing, on the slot, on its address or on stale memory shows.

    Raises:
        Failure: the candidate is not right.
    """
    order = list(cases.cases[skip:])
    if (
        contestant.candidate.language is not Language.TRITON
    ):  # whose interpreter is slow and runs in one order
        order += _SECRET.choices(cases.cases, k=min(_REPEATS, _REPEATED_BYTES // contestant.layout.stride))
    _SECRET.shuffle(order)
    most = min(contestant.layout.slots, -(-len(order) // 2))
    start = _SECRET.randint(0, contestant.layout.slots - most)
    for first in range(0, len(order), most):
        some = order[first : first + most]
        run_cases(contestant, some, cases.mutates_inputs, into, "while it was verified", start)
