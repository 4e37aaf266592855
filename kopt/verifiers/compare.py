"""Compare an output with what is expected, in one pass, without believing anything about it.

``Expected`` is prepared once per verify case and used for every candidate. ``check`` reads the candidate's
bytes once; see :mod:`kopt.verifiers.budget` for the formula.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kopt.verifiers.budget import BLOCK, ErrorModel, exponents
from kopt.verifiers.dtypes import Array, widen
from kopt.verifiers.parallel import spans, spread

CHUNK = 8 * BLOCK
STRAYS = 1 << 20  # one element in so many
STRAY = 4.0  # may use so many times its budget
_NOTHING = 16.0  # units in the last place of a tensor's typical value
_FEW, _FEW_OF = 2, 4096  # elements that the usual budget may excuse: so many, or one in so many
Models = ErrorModel | Sequence[tuple[int, ErrorModel]]
"""One model of the reference's error, or one for each part of an output, with the element at which the part ends."""


def part_ends(shape: Sequence[int], parts: int) -> list[int]:
    """Where each of ``parts`` parts of an output ends: whole rows, cut as a mixture of inputs of that shape is.

    (:mod:`kopt.problems.hidden`; an output of another shape has its parts about there.) A part that began with a few
    rows of another distribution would pool their errors with its own: the budget of ten elements in a function's tail
    from a hundred thousand that are nearly exact.
    """
    size = math.prod(shape)
    width = shape[-1] if shape else 1
    if size < parts * width:
        width = 1
    each, longer = divmod(size // width, parts)
    return [width * (each * n + min(n, longer)) for n in range(1, parts + 1)]


def _pieces(
    models: Sequence[tuple[int, ErrorModel]], start: int, stop: int
) -> Iterator[tuple[slice, ErrorModel]]:
    """The models of elements ``start`` to ``stop``, each with those it is for, counted from ``start``."""
    begin = 0
    for end, model in models:
        low, high = max(begin, start), min(end, stop)
        if low < high:
            yield slice(low - start, high - start), model
        begin = end


def _number(value: np.floating) -> float:
    """NaN compares false with everything, so it counts as infinitely wrong."""
    return math.inf if np.isnan(value) else float(value)


@dataclass(frozen=True)
class Finding:
    """What a comparison found: ``ratio`` is the worst error over its budget, ``rms`` that of a block."""

    passed: bool
    position: int
    expected: float
    got: float
    budget: float
    count: int
    total: int
    ratio: float
    rms: float
    why: str = ""


@dataclass(frozen=True)
class Expected:
    """One output of one case: truth and budgets, flat, in the output's memory order.

    ``usual``: by which a few elements may be judged whose budget is too small (:mod:`kopt.verifiers.budget`).
    """

    dtype: str
    truth: Array
    budget: Array | None
    blocks: npt.NDArray[np.float64] | None
    special: npt.NDArray[np.bool_] | None
    allowed: int = 0
    usual: ErrorModel | None = None

    @classmethod
    def of(
        cls,
        models: Models,
        dtype: str,
        truth: Array,
        reference: Array,
        wobble: Array | None = None,
    ) -> Expected:
        """Prepare from the float64 truth, the reference's own (stored) output and the truth's wobble."""
        several = [(truth.size, models)] if isinstance(models, ErrorModel) else list(models)
        any_of_them = several[0][1]
        if not any_of_them.kind.floating:
            return cls(dtype, truth.copy(), None, None, None, any_of_them.allowed(truth.size))
        keep = np.float64 if dtype == "float64" else np.float32
        kept = np.empty(truth.size, keep)
        budget = np.empty(truth.size, keep)
        fixed = any_of_them.fixed
        blocks = np.empty(-(-truth.size // BLOCK))
        special = np.zeros(truth.size, np.bool_)

        def part(start: int, stop: int) -> None:
            own = widen(reference[start:stop], dtype).astype(np.float64)
            t = truth[start:stop].astype(np.float64)
            with np.errstate(over="ignore"):
                odd = ~np.isfinite(own) | ~np.isfinite(t.astype(keep))
            special[start:stop] = odd
            finite = np.where(odd, 0.0, t)
            bound = np.concatenate([m.budget(finite[w]) for w, m in _pieces(several, start, stop)])
            budget[start:stop] = bound
            kept[start:stop] = np.where(odd, own, t) if odd.any() else t
            error = np.where(odd, 0.0, np.abs(np.where(odd, 0.0, own) - finite))
            if wobble is not None:
                error = np.maximum(error, wobble[start:stop])
            for first, last in spans(stop - start, BLOCK):
                held, e = finite[first:last], error[first:last]
                usual = [m.typical(held[w], e[w]) for w, m in _pieces(several, start + first, start + last)]
                share = np.concatenate(usual) / bound[first:last]
                blocks[(start + first) // BLOCK] = math.inf if fixed else ErrorModel.block_limit(share)

        list(spread(part, spans(truth.size, CHUNK)))
        return cls(dtype, kept, budget, blocks, special if special.any() else None)

    def check(self, stored: Array) -> Finding:
        """Judge a whole output, given as stored elements in the same order."""
        if stored.size != self.truth.size:
            return Finding(False, 0, 0.0, 0.0, 0.0, stored.size, self.truth.size, math.inf, math.inf, "size")
        if self.budget is None or self.blocks is None:
            return self._check_discrete(stored)
        budget, blocks = self.budget, self.blocks

        def part(start: int, stop: int) -> tuple[float, int, int, float, int]:
            ratio = self._ratio(stored[start:stop], slice(start, stop), budget[start:stop])
            at = int(ratio.argmax())  # numpy puts NaN first, as wanted
            worst = _number(ratio[at])
            bad = 0 if worst <= 1.0 else int(ratio.size - np.count_nonzero(ratio <= 1.0))
            whole = ratio.size // BLOCK * BLOCK
            grid = ratio[:whole].reshape(-1, BLOCK)
            means = np.einsum("ij,ij->i", grid, grid) / BLOCK
            if whole < ratio.size:
                tail = ratio[whole:]
                means = np.append(means, np.einsum("i,i->", tail, tail) / tail.size)
            limit = blocks[start // BLOCK : start // BLOCK + means.size]
            rms = np.sqrt(means) / np.maximum(limit, 1e-30)
            block = int(rms.argmax())
            return worst, start + at, bad, _number(rms[block]), start // BLOCK + block

        worst, position, count = -1.0, 0, 0
        rms, block = 0.0, 0
        for high, at, bad, high_rms, at_block in spread(part, spans(stored.size, CHUNK)):
            count += bad
            if high > worst:
                worst, position = high, at
            if high_rms > rms:
                rms, block = high_rms, at_block
        if worst > 1.0 and self.usual is not None and count <= max(_FEW, stored.size // _FEW_OF):
            return self._lenient(stored, self.usual).check(stored)
        near = worst <= 1.0 or (worst <= STRAY and count <= stored.size // STRAYS)
        if near and rms > 1.0:
            return self._block_finding(stored, block, worst, rms)
        return self._finding(stored, position, count, worst, rms, "" if near else "element")

    def _lenient(self, stored: Array, usual: ErrorModel) -> Expected:
        """The same with the usual budget for every element that is beyond its own."""
        assert self.budget is not None
        budget = self.budget.copy()
        for start, stop in spans(stored.size, CHUNK):
            ratio = self._ratio(stored[start:stop], slice(start, stop), budget[start:stop])
            far = start + np.flatnonzero(~(ratio <= 1.0))
            truth = self.truth[far].astype(np.float64)
            loose = np.maximum(budget[far], usual.budget(truth))
            budget[far] = np.where(usual.known[exponents(truth)], loose, budget[far])
        return replace(self, budget=budget, usual=None)

    def _ratio(self, stored: Array, where: slice, budget: Array) -> npt.NDArray[np.floating]:
        got = widen(stored, self.dtype)
        truth = self.truth[where]
        if self.special is not None:
            odd = self.special[where]
            same = np.where(np.isnan(truth), np.isnan(got), got == truth)
            truth = np.where(odd, 0, truth)
            got = np.where(odd, np.where(same, 0, np.nan), got).astype(truth.dtype)
        with np.errstate(invalid="ignore", over="ignore"):
            ratio = np.subtract(got, truth)
            np.abs(ratio, out=ratio)
            np.divide(ratio, budget, out=ratio)
        return ratio

    def _finding(self, stored: Array, at: int, count: int, worst: float, rms: float, why: str) -> Finding:
        budget = float(self.budget[at]) if self.budget is not None and self.budget.size else 0.0
        got = float(widen(stored[at : at + 1], self.dtype)[0]) if stored.size else 0.0
        expected = float(self.truth[at]) if stored.size else 0.0
        return Finding(not why, at, expected, got, budget, count, stored.size, max(worst, 0.0), rms, why)

    def _block_finding(self, stored: Array, block: int, worst: float, rms: float) -> Finding:
        where = slice(block * BLOCK, min(stored.size, (block + 1) * BLOCK))
        assert self.budget is not None
        ratio = self._ratio(stored[where], where, self.budget[where])
        at = where.start + int(ratio.argmax())
        return self._finding(stored, at, ratio.size, worst, rms, "rms")

    def _check_discrete(self, stored: Array) -> Finding:
        differing = np.flatnonzero(stored != self.truth)
        count = int(differing.size)
        at = int(differing[0]) if count else 0
        ratio = 0.0 if not count else (count / self.allowed if self.allowed else math.inf)
        return self._finding(stored, at, count, ratio, 0.0, "" if count <= self.allowed else "element")


def check_sample(model: ErrorModel, dtype: str, stored: Array, reference: Array) -> Finding:
    """Judge a sample against the reference's own output on the same input, where no truth is known.

    Both may err by their budgets, so the bound is ``(M + 1)`` instead of ``M`` times the pooled error. Where the
    reference errs by all there is (the far tail of ``gelu``: zero instead of -1e-7), its output is no measure of the
    truth's magnitude, and the candidate's may be the nearer one. So errors *seen* at the candidate's magnitude count
    too, where the reference's output is smaller than those and the difference is nothing beside the tensor's other
    values.
    """
    if not model.kind.floating:
        differing = np.flatnonzero(stored != reference)
        count = int(differing.size)
        at = int(differing[0]) if count else 0
        few = 2 + 2 * model.allowed(stored.size) if model.differing else 0
        expected, got = (float(reference[at]), float(stored[at])) if stored.size else (0.0, 0.0)
        return Finding(count <= few, at, expected, got, 0.0, count, stored.size, count / max(1, few), 0.0)
    with np.errstate(invalid="ignore"):  # a signalling NaN: what was never written
        mine = widen(stored, dtype).astype(np.float64)
        other = widen(reference, dtype).astype(np.float64)
    odd = ~np.isfinite(other)
    finite = np.where(odd, 0.0, other)
    bound = model.budget(finite, model.policy.multiple + 1.0)
    same = np.where(np.isnan(other), np.isnan(mine), mine == other)
    with np.errstate(invalid="ignore", over="ignore"):
        ratio = np.where(odd, np.where(same, 0.0, np.nan), np.abs(mine - finite) / bound)
    if not model.fixed:
        far = np.flatnonzero(np.isfinite(mine) & ~odd & (ratio > 1.0))
        seen, difference = model.observed(mine[far]), np.abs(mine[far] - finite[far])
        nothing = _NOTHING * model.kind.roundoff * model.typical_value
        lost = (np.abs(finite[far]) <= seen) & (difference <= nothing)
        far, seen, difference = far[lost], seen[lost], difference[lost]
        bound[far] = np.maximum(bound[far], (model.policy.multiple + 1.0) * seen)
        ratio[far] = difference / bound[far]
    at = int(ratio.argmax()) if ratio.size else 0
    count = int(ratio.size - np.count_nonzero(ratio <= 1.0))
    worst = _number(ratio[at]) if ratio.size else 0.0
    got, expected, limit = (float(mine[at]), float(other[at]), float(bound[at])) if ratio.size else (0.0,) * 3
    return Finding(
        count == 0, at, expected, got, limit, count, ratio.size, worst, 0.0, "element" if count else ""
    )
