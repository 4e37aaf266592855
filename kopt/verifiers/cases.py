"""Verify cases: inputs, truth and budgets, computed once for a problem and used against every candidate.

A case costs the reference two float64 runs and the judge one second per 64 MB, so their number is bounded by bytes.
Where not every hidden distribution gets a case of its own, a mixture shows them all in one: what is caught does not
depend on which were drawn. What is drawn here is secret: seeds come from the system's generator and never leave the
judge.
"""

from __future__ import annotations

import math
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kopt.errors import ProblemError
from kopt.verifiers import sums
from kopt.verifiers.budget import POOL, ErrorModel, rms, wobble
from kopt.verifiers.compare import CHUNK, Expected, Finding, Models, part_ends
from kopt.verifiers.dtypes import KINDS, Array, itemsize, widen
from kopt.verifiers.layout import Bytes
from kopt.verifiers.reference import Reference
from kopt.words import TolerancePolicy, WorkloadSpec

DECLARED, MIXED = "declared", "mixed"
_SPECIAL = ("non_finite", "beyond", "infinite", "infinite_below")
"""Always cases of their own: no other distribution shows what they show."""
NON_FINITE = _SPECIAL[0]
INFINITE = _SPECIAL[2:]
"""From the widest on: used as soon as the reference defines what becomes of one (:mod:`kopt.problems.infinite`)."""
_CASE_BYTES, _OWN = 160 << 20, 6
_NOT_FINITE = "the reference is not finite on it"
_HARSH = (frozenset({"large", "wide", "equal", "zeros"}), frozenset({"outliers", "negative"}))
"""What a mixture leaves out, one set after the other, when the reference is not finite on it."""
_DEGENERATE = frozenset({"equal", "zeros"})
"""Where results may vanish altogether, differences of equal sums for one."""


@dataclass(frozen=True)
class Case:
    """Inputs as bytes and, for every output, what is expected."""

    distribution: str
    inputs: tuple[Bytes, ...]
    expected: tuple[Expected, ...]

    def check(self, outputs: Sequence[Array]) -> tuple[int, Finding]:
        """Compare all outputs: the first that fails, or else the worst."""
        worst: tuple[int, Finding] | None = None
        for number, (expected, stored) in enumerate(zip(self.expected, outputs, strict=True)):
            finding = expected.check(stored)
            if not finding.passed:
                return number, finding
            if worst is None or finding.ratio > worst[1].ratio:
                worst = number, finding
        assert worst is not None
        return worst


@dataclass(frozen=True)
class Cases:
    """All cases of one workload, the models of the reference's error, and what was left out and why."""

    cases: tuple[Case, ...]
    models: tuple[ErrorModel, ...]
    dropped: dict[str, str]
    mutates_inputs: bool

    def some(self, most: int) -> Cases:
        """At most so many: the first, then the last, which is the mixture, then the others."""
        return replace(self, cases=(*self.cases[:1], *self.cases[:0:-1])[:most])


@dataclass
class _Raw:
    distribution: str
    inputs: tuple[Bytes, ...]
    reference: tuple[Array, ...]
    truth: tuple[Array, ...]
    wobble: tuple[Array | None, ...]


_EXPONENT = {"float64": 0x7FF << 52, "float32": 0xFF << 23, "float16": 0x1F << 10, "bfloat16": 0xFF << 7}


def nudge(stored: Bytes, dtype: str) -> None:
    """Move every normal number by one unit in the last place, up or down or not at all, in place."""
    bits = stored.view(f"i{itemsize(dtype)}")
    generator = np.random.default_rng(secrets.randbits(64))
    mask = bits.dtype.type(_EXPONENT[dtype])
    for first in range(0, bits.size, 1 << 20):
        part = bits[first : first + (1 << 20)]
        exponent = part & mask
        step = generator.integers(-1, 2, part.size, np.int8)
        step[(exponent == 0) | (exponent == mask)] = 0
        part += step


_FEW_MOVES = 16 << 20  # bytes of a slot, beyond which the truth is computed less often
_REPEAT = 256  # roundoffs by which sums taken in another order may differ


def repeats_differ(first: Array, again: Array, dtype: str) -> int:
    """How many elements of two calls on the same inputs differ by more than rounding can explain."""
    kind = KINDS[dtype]
    if not kind.floating:
        return int(np.count_nonzero(first != again))
    one, other = (widen(stored, dtype).astype(np.float64) for stored in (first, again))
    size = np.abs(np.where(np.isfinite(one), one, 0.0))
    with np.errstate(invalid="ignore", over="ignore"):
        typical = math.sqrt(float(np.mean(np.square(size)))) if size.size else 0.0
        allowed = min(_REPEAT * kind.roundoff, 1 / 16) * (size + typical)
        same = (np.abs(one - other) <= allowed) | (one == other) | (np.isnan(one) & np.isnan(other))
    return int(np.count_nonzero(~same))


def draw_seed() -> int:
    """A secret seed that torch accepts."""
    return secrets.randbits(62)


def build(
    reference: Reference, spec: WorkloadSpec, policy: TolerancePolicy, *, hidden: int = 99, declared: int = 2
) -> Cases:
    """Make the cases of the selected workload, with ``hidden`` distributions at most.

    Raises:
        ProblemError: the reference is not deterministic, or not finite on its own declared inputs.
    """
    return _Builder(reference, spec, policy).build(hidden, declared)


class _Builder:
    def __init__(self, reference: Reference, spec: WorkloadSpec, policy: TolerancePolicy) -> None:
        assert reference.ring is not None
        self.reference, self.spec, self.policy, self.ring = reference, spec, policy, reference.ring
        self.path = reference.problem.path or reference.problem.name
        self.mutates = False
        self.dropped: dict[str, str] = {}
        self.scales = [0.0] * len(spec.outputs)  # of the declared outputs, once they are known

    def build(self, hidden: int, declared: int) -> Cases:
        truth = self.reference.attach_truth(self.spec)
        try:
            raws = [self._draw(DECLARED, truth.outputs_of) for _ in range(declared)]
            self._deterministic(raws[-1])
            self.scales = [
                max(rms(raw.truth[number]) for raw in raws if raw) for number in range(len(self.scales))
            ]
            models = tuple(
                self._model([r for r in raws if r], number) for number in range(len(self.spec.outputs))
            )
            cases = [self._case(raw, models) for raw in raws if raw]
            raws.clear()
            every = self._names()
            special = [name for name in _SPECIAL if name in every]
            every = [name for name in every if name not in _SPECIAL]
            for name in (*special, *self._affordable(every, hidden)):
                if name in INFINITE and any(case.distribution in INFINITE for case in cases):
                    continue
                raw = self._draw(name, truth.outputs_of)
                if raw is not None:
                    own = tuple(self._model([raw], n, usual) for n, usual in enumerate(models))
                    cases.append(self._case(raw, own, models))
            for group in sums.groups(self.spec, every):
                if len(group) > 1:
                    cases += self._mixture(group, truth.outputs_of, models)
        finally:
            truth.close()
        return Cases(tuple(cases), models, self.dropped, self.mutates)

    def _names(self) -> list[str]:
        found = self.reference.ask("distributions").get("names") or []
        names = [str(name) for name in found if name != DECLARED] if isinstance(found, list) else []
        if sum(math.prod(o.shape) for o in self.spec.outputs) < POOL:
            for name in _DEGENERATE.intersection(names):
                self.dropped[name] = "a few results near zero show nothing of the reference's error"
            names = [name for name in names if name not in _DEGENERATE]
        random.SystemRandom().shuffle(names)
        return names

    def _affordable(self, names: Sequence[str], hidden: int) -> Sequence[str]:
        most = min(hidden, max(1, min(_OWN, _CASE_BYTES // self.ring.layout.stride - 2)))
        for name in names[most:]:
            self.dropped[name] = "in the mixture only; which have cases of their own is drawn anew"
        return names[:most]

    def _mixture(
        self,
        names: Sequence[str],
        outputs_of_truth: Callable[[int], tuple[Array, ...]],
        declared: Sequence[ErrorModel],
    ) -> list[Case]:
        """A case of all distributions at once, save those on which the reference is not finite."""
        names = [name for name in names if self.dropped.get(name) != _NOT_FINITE]
        for harsh in (frozenset[str](), *_HARSH):
            for name in harsh.intersection(names, self.dropped):
                self.dropped[name] = _NOT_FINITE
            names = [name for name in names if name not in harsh]
            if len(names) < 2:
                break
            raw = self._draw("+".join(names), outputs_of_truth)
            if raw is not None:
                self.dropped.pop(MIXED, None)
                models = tuple(self._models(raw, n, len(names), usual) for n, usual in enumerate(declared))
                raw.distribution = MIXED
                return [self._case(raw, models, declared)]
            self.dropped[MIXED] = self.dropped.pop("+".join(names), _NOT_FINITE)
        return []

    def _draw(self, name: str, outputs_of_truth: Callable[[int], tuple[Array, ...]]) -> _Raw | None:
        try:
            skipped = self.reference.generate([0], [draw_seed()], name)
            if skipped:
                self.dropped[name] = skipped
                return None
            inputs = self.ring.inputs_of(0)
            self._run()
            if not self.ring.inputs_equal(0, inputs):
                self.mutates = True
                self.ring.put_inputs(0, inputs)
            got = tuple(a.copy() for a in self.ring.outputs_of(0))
            if name in INFINITE and not self._defines(name, got):
                return None
            lets = name == NON_FINITE or name in INFINITE
            if not lets and not self._finite(name, got):
                return None
            self.reference.ask("truth", {"slots": [0]})
            truth = tuple(a.copy() for a in outputs_of_truth(0))
            if lets and not self._agree(got, truth):
                self.dropped[name] = "the reference differs there from its own float64 truth"
                return None
            swings = self._swings(name, inputs, truth, outputs_of_truth)
        except ProblemError as error:
            if name == DECLARED or not self.reference.runner.alive:
                raise
            self.dropped[name] = str(error)[:200]
            return None
        return _Raw(name, inputs, got, truth, swings)

    def _swings(
        self,
        name: str,
        inputs: Sequence[Bytes],
        truth: Sequence[Array],
        outputs_of_truth: Callable[[int], tuple[Array, ...]],
    ) -> tuple[Array | None, ...]:
        """How far the truth of each output goes when the inputs move; of a mixture, the farthest of some moves.

        In a mixture few elements share a row's scale. A running sum carries one swing through all of them, and by
        luck that can be near zero, which is then nobody's measure of what rounding does there.
        """
        mixture = "+" in name
        times = 1 if not mixture else 3 if self.ring.layout.stride <= _FEW_MOVES else 2
        farthest: list[Array | None] = [None] * len(truth)
        for _ in range(times):
            moved = self._moved(inputs, outputs_of_truth)
            for number, (spec, t, m) in enumerate(zip(self.spec.outputs, truth, moved, strict=True)):
                if m is None or not KINDS[spec.dtype].floating:
                    continue
                h = sums.reach(self.spec, spec, name)
                wide = (t.astype(np.float64, copy=False), m.astype(np.float64, copy=False))
                far = wobble(*wide, spec.dtype, h=h, scale=self.scales[number])
                before = farthest[number]
                farthest[number] = far if before is None else np.maximum(before, far)
        return tuple(farthest)

    def _moved(
        self, inputs: Sequence[Bytes], outputs_of_truth: Callable[[int], tuple[Array, ...]]
    ) -> tuple[Array | None, ...]:
        """The truth of inputs moved by one unit in the last place, up or down or not at all."""
        floating = [p for p in self.ring.layout.role("input") if KINDS[p.spec.dtype].floating and p.nbytes]
        if not floating:
            return (None,) * len(self.spec.outputs)
        self.ring.put_inputs(1, inputs)
        row = self.ring.slot(1)
        for place in floating:
            nudge(row[place.offset : place.offset + place.nbytes], place.spec.dtype)
        self.reference.ask("truth", {"slots": [1]})
        return outputs_of_truth(1)

    def _run(self) -> None:
        self.reference.round(0, 1)
        self.reference.flush([0])

    def _finite(self, name: str, outputs: Sequence[Array]) -> bool:
        for spec, stored in zip(self.spec.outputs, outputs, strict=True):
            if not KINDS[spec.dtype].floating:
                continue
            values = widen(stored, spec.dtype)
            with np.errstate(invalid="ignore", over="ignore"):
                total = float(values.sum(dtype=np.float64))
            if math.isfinite(total):
                continue
            if name != DECLARED:
                self.dropped[name] = _NOT_FINITE
                return False
            if np.isnan(values).any():
                raise ProblemError(
                    f"the reference's {spec.name} contains NaN on its own inputs: change the inputs or guard "
                    "the computation",
                    path=self.path,
                )
        return True

    def _defines(self, name: str, outputs: Sequence[Array]) -> bool:
        """Whether the reference makes something of infinities, and not only of the order in which it adds.

        No NaN comes out. A long sum of which an infinity comes out defines nothing: what compensates for rounding
        (Kahan), or adds differences, makes NaN of infinities and is right all the same.
        """
        for spec, stored in zip(self.spec.outputs, outputs, strict=True):
            if KINDS[spec.dtype].floating:
                values = widen(stored, spec.dtype)
                if np.isnan(values).any():
                    self.dropped[name] = "the reference makes NaN of infinities"
                    return False
                if sums.adds_up(self.spec, spec) and np.isinf(values).any():
                    self.dropped[name] = "the reference adds infinities up"
                    return False
        return True

    def _agree(self, outputs: Sequence[Array], truth: Sequence[Array]) -> bool:
        """Whether reference and truth have NaN and infinities in the same places."""
        for spec, stored, exact in zip(self.spec.outputs, outputs, truth, strict=True):
            if KINDS[spec.dtype].floating:
                values = widen(stored, spec.dtype)
                odd = ~(np.isfinite(values) & np.isfinite(exact))
                if not np.array_equal(values[odd], exact[odd], equal_nan=True):
                    return False
        return True

    def _deterministic(self, raw: _Raw | None) -> None:
        """Run once more on the same inputs; anything beyond rounding is refused."""
        assert raw is not None
        self._run()
        if self.mutates:
            self.ring.put_inputs(0, raw.inputs)
        for spec, first, again in zip(self.spec.outputs, raw.reference, self.ring.outputs_of(0), strict=True):
            if np.array_equal(first.view(f"u{first.itemsize}"), again.view(f"u{first.itemsize}")):
                continue
            count = repeats_differ(first, again, spec.dtype)
            if count:
                raise ProblemError(
                    f"the reference's {spec.name} differs between two calls on the same inputs "
                    f"({count} of {first.size} elements): remove what is random, dropout for one",
                    path=self.path,
                )

    def _model(self, raws: Sequence[_Raw], number: int, usual: ErrorModel | None = None) -> ErrorModel:
        model = self._empty(number, raws[0].distribution, usual)
        dtype = self.spec.outputs[number].dtype
        for raw in raws:
            model.add(raw.truth[number], widen(raw.reference[number], dtype), raw.wobble[number])
        return model

    def _empty(self, number: int, distribution: str, usual: ErrorModel | None) -> ErrorModel:
        spec = self.spec.outputs[number]
        growth = sums.allowed(self.spec, spec, distribution)
        return ErrorModel(spec.dtype, self.policy, growth, usual)

    def _models(self, raw: _Raw, number: int, parts: int, usual: ErrorModel) -> Models:
        """A model for each part of a mixture's output: errors of one distribution excuse no other's."""
        spec, truth, swing = self.spec.outputs[number], raw.truth[number], raw.wobble[number]
        if list(spec.strides) != sorted(spec.strides, reverse=True):
            return self._model([raw], number, usual)  # in memory, parts are not one behind the other
        least = CHUNK if sums.adds_up(self.spec, spec) else 2 * POOL
        if not KINDS[spec.dtype].floating or truth.size < parts * least:
            return self._model([raw], number, usual)
        found, start = [], 0
        for stop in part_ends(spec.shape, parts):
            model = self._empty(number, raw.distribution, usual)
            got = widen(raw.reference[number][start:stop], spec.dtype)
            model.add(truth[start:stop], got, None if swing is None else swing[start:stop])
            found.append((stop, model))
            start = stop
        return found

    def _case(self, raw: _Raw, models: Sequence[Models], declared: Sequence[ErrorModel] = ()) -> Case:
        expected = [
            Expected.of(model, spec.dtype, truth, got, swing)
            for model, spec, truth, got, swing in zip(
                models, self.spec.outputs, raw.truth, raw.reference, raw.wobble, strict=True
            )
        ]
        for number, usual in enumerate(declared):
            if not sums.adds_up(self.spec, self.spec.outputs[number]):
                expected[number] = replace(expected[number], usual=usual)
        return Case(raw.distribution, raw.inputs, tuple(expected))
