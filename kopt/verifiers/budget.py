r"""How wrong an output may be: a stated multiple of the reference's own error.

Let :math:`t` be the truth (the reference in float64), :math:`r` the reference at the problem's precision,
:math:`\tilde t` the truth of inputs moved at random by one unit in their last place, and

.. math:: e = \max(|r - t|, w\,|\tilde t - t|)

The second term is what the rounding of the inputs alone does to the result: no algorithm at this precision
can be blamed for it, though the reference may hide it by accumulating in float64. (Differences beyond
:math:`\max(256 u, \min(4096 u w, 1/8)) (|t| + \operatorname{rms} t)` are jumps of the function, not errors, and are
left out. Normalising a row that is nearly constant magnifies the rounding of its values by some thousands. Where all
of a case is zero, normalised rows of equal values for instance, the rms of the problem's own outputs is taken.)

An element's own :math:`e` may be zero by luck, so errors are pooled with those of truths of like magnitude:
:math:`s(t)` is the largest, :math:`\sigma(t)` the root mean square of :math:`e` over the elements whose truth
lies within a factor two of :math:`t` (the window widens until it holds 256 elements). Where these are the same few
results over and over (tied or equal inputs), one luck stands for all of them, and the errors seen on declared inputs
at that magnitude count too: the tail of ``gelu`` is nearly exact at some single input. With unit roundoff
:math:`u` of the output's type, :math:`\tau` what may be lost at the low end of its range
(:data:`kopt.verifiers.dtypes.KINDS`), :math:`n` the terms of a sum and the multiple :math:`M`, a candidate's output
:math:`c` passes when

.. math::
    f(t) &= u\,|t|\,g, \qquad g = \max(1 + \tfrac14\log_2 n, h), \qquad h = \max(1, \tfrac17\sqrt{n}) \\
    |c - t| &\le b(t) = M \max(s(t), f(t)) + 2u\,|t| + \tau
        && \text{for every element} \\
    \operatorname{rms}(|c - t| / b)^2 &\le \rho^2 = \operatorname{rms}(M \max(e', f) / b)^2 + \min(4 / m, 1 / 64)
        && \text{over every block of } m \le 4096

where :math:`e'` is :math:`e` in blocks of at least 256 elements and :math:`\max(e, \sigma)` in smaller ones.
The first criterion is about single elements, the second catches a small systematic loss of precision, four to
five times sharper. Its last term lets about four elements of a block use their whole budget: where an operation
such as a clamp leaves error in a few elements only, the reference's luck with those few is no measure.

One element in :math:`2^{20}` may use up to four times its budget: where a clamp leaves few elements of a tensor with
rounding errors, :math:`s` is the greatest of few draws, and among many millions some other order of summation is
unluckier.

The factors :math:`g` and :math:`w = \max(1, 0.7 h)` admit another order of summation in a reduction of :math:`n`
terms, which the reference's own few outputs cannot show (:mod:`kopt.verifiers.sums`).

In a float64 problem truth and reference agree, so :math:`u` times the tensor's rms takes the place of :math:`s` and
:math:`\sigma` where it is larger.

Where outputs are no sums, a few results from a function's tail may lie among many of the same magnitude from where it
is nearly exact, and what is pooled says little of the few. On hidden distributions one element in 4096 (and two in
any case) may therefore err as the reference does on declared inputs at that magnitude, if there are at least 16 of
them. (Sums of a magnitude come from
inputs of another: there, no distribution's errors excuse another's.)

A truth of zero may be what float64 made of :math:`2^{-49}` of the tensor's rms, and so much is allowed there.

Integer and bool outputs must be equal, save for as many elements as ``M`` times those in which the reference
itself differs from the truth (ties of an arg-max). With ``rtol`` and ``atol`` the budget is ``atol + rtol
|t|``.
"""

from __future__ import annotations

import math
import random

import numpy as np
import numpy.typing as npt

from kopt.verifiers.dtypes import KINDS, Array
from kopt.verifiers.parallel import spans, spread
from kopt.words import TolerancePolicy

POOL = 256
_PIECES = 64  # of 65536 elements
BLOCK = 4096
_FEW = 4
_KNOWN = 16  # results of about a magnitude, from which a model knows how the reference errs there
_DIFFERENT = 12
"""Codes of errors in a window: 256 results have twenty or more, the same few results nine at the most."""
_TRUTH = 2.0**-49  # of a typical value: what rounding in float64 may have made a zero of
_CODES = 1020  # an error's float32 exponent (0 to 254) and two bits of its mantissa
_LARGEST = float(np.finfo(np.float32).max)
Floats = npt.NDArray[np.floating]


def exponents(values: Array) -> npt.NDArray[np.int64]:
    """The biased float32 exponent of each value, 0 to 255."""
    bits = values.astype(np.float32, copy=False).view(np.uint32)
    return ((bits >> 23) & 0xFF).astype(np.int64)


def _upper(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The largest value each error code stands for; code 0 means exactly zero."""
    edges = (np.minimum(codes + 1, _CODES) << 21).astype(np.uint32).view(np.float32).astype(np.float64)
    return np.where(codes == 0, 0.0, np.nan_to_num(edges, nan=_LARGEST, posinf=_LARGEST))


def wobble(
    truth: Floats, moved: Floats, dtype: str, *, h: float = 1.0, scale: float = 0.0
) -> npt.NDArray[np.float32]:
    """How far the truth goes when the inputs move by one unit in the last place, times ``w``; jumps count as zero.

    ``h`` is the factor of :func:`kopt.verifiers.sums.in_turn`. ``scale`` is the rms of the problem's own outputs, by
    which jumps are told where these are zeros.
    """
    kind = KINDS[dtype]
    typical = max(scale, rms(truth))
    w = max(1.0, 0.7 * h)
    far = np.empty(truth.size, np.float32)
    jump = max(256 * kind.roundoff, min(4096 * kind.roundoff * w, 1 / 8))

    def part(start: int, stop: int) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            away = np.abs(moved[start:stop] - truth[start:stop])
            near = away <= jump * (np.abs(truth[start:stop]) + typical)
            far[start:stop] = np.where(near & np.isfinite(away), w * away, 0.0)

    list(spread(part, spans(truth.size, 1 << 15)))
    return far


def rms(truth: Array) -> float:
    """The root mean square, at most the largest float32; parts that are not finite count as zero."""

    def squares(start: int, stop: int) -> float:
        some = truth[start:stop].astype(np.float64, copy=False)
        total = float(np.einsum("i,i->", some, some))
        return total if math.isfinite(total) else 0.0

    total = sum(spread(squares, spans(truth.size, 1 << 15)))
    return math.sqrt(min(_LARGEST, total / max(1, truth.size)))


def reaches(number: npt.NDArray[np.int64], enough: int) -> list[int]:
    """For each of 256 exponents, how far to either side a window must reach to hold ``enough``; 1 to 256."""
    before = np.concatenate([[0], np.cumsum(number)])
    at, reach = np.arange(256)[:, None], np.arange(1, 256)
    held = before[np.minimum(at + reach + 1, 256)] - before[np.maximum(at - reach, 0)]
    short: list[int] = np.count_nonzero(held < enough, axis=1).tolist()
    return [1 + count for count in short]


class ErrorModel:
    """The reference's own error as a function of the truth's magnitude, pooled over all that was added.

    ``usual`` is the model of declared inputs, which counts as well where this one knows a few results only.
    """

    def __init__(
        self, dtype: str, policy: TolerancePolicy, growth: float = 1.0, usual: ErrorModel | None = None
    ) -> None:
        self.kind = KINDS[dtype]
        self.policy = policy
        self.growth = growth
        self.usual = usual
        self.tied = np.zeros(256, np.bool_)  # exponents at which ``usual`` counts, once scales are known
        self.known = np.zeros(256, np.bool_)  # exponents at which this model has results of its own, likewise
        self.typical_value = 0.0  # the root mean square of all truths, likewise
        self.elements = 0
        self.differing = 0
        self._squares = 0.0
        self._counts = np.zeros((256, _CODES), np.int64)
        self._scales: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None

    def add(self, truth: Array, got: Array, wobble: Array | None = None) -> None:
        """Learn from the truth, the reference's output ``got`` (widened) and the :func:`wobble`, all flat."""
        self._scales = None
        self.elements += truth.size
        if not self.kind.floating:
            self.differing += int(np.count_nonzero(truth != got))
            return

        def part(start: int, stop: int) -> tuple[npt.NDArray[np.int64], float]:
            t = truth[start:stop].astype(np.float64, copy=False)
            with np.errstate(invalid="ignore", over="ignore"):
                error = np.abs(got[start:stop].astype(np.float64, copy=False) - t).astype(np.float32)
                if wobble is not None:
                    error = np.maximum(error, wobble[start:stop])
                keep = np.isfinite(t) & np.isfinite(error)
                small = np.where(keep, t, 0.0).astype(np.float32)
            code = (np.where(keep, error, 0).view(np.uint32) >> 21).astype(np.int64)
            key = (exponents(small) * _CODES + code)[keep]
            finite = small[keep].astype(np.float64)
            with np.errstate(over="ignore"):
                squares = float(np.einsum("i,i->", finite, finite))
            return key, squares

        pieces = spans(truth.size, 1 << 16)
        if len(pieces) > _PIECES:  # enough to know the error's distribution; which ones is nobody's business
            pieces = sorted(random.SystemRandom().sample(pieces, _PIECES))
        keys = [np.zeros(0, np.int64)]
        for key, squares in spread(part, pieces):
            keys.append(key)
            self._squares += squares
        self._counts += np.bincount(np.concatenate(keys), minlength=256 * _CODES).reshape(256, _CODES)

    @property
    def scales(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The largest and the rms error for each of the 256 exponents of a truth."""
        if self._scales is None:
            self._scales = self._pool()
        return self._scales

    def _pool(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        upper = _upper(np.arange(_CODES))
        number = self._counts.sum(axis=1)
        largest = np.where(self._counts > 0, upper, 0.0).max(axis=1)
        with np.errstate(over="ignore"):
            squares = self._counts @ np.square(upper)
        worst = np.zeros(256)
        rms = np.zeros(256)
        total = int(number.sum())
        # Zeros alone say nothing: where a clamp makes them, another rounding makes the least of what is not clamped.
        nonzero = np.concatenate([[0], number[1:]])
        small = int(nonzero.sum())
        reach_of = reaches(number, min(POOL, total))
        reach_of[0] = reaches(nonzero, min(POOL, small))[0]
        tied = np.zeros(256, np.bool_)
        for k, reach in enumerate(reach_of):
            window = slice(max(0, k - reach), k + reach + 1)
            worst[k] = largest[window].max()
            rms[k] = math.sqrt(min(_LARGEST, squares[window].sum() / max(1, number[window].sum())))
            codes = np.count_nonzero(self._counts[window].any(axis=0))
            tied[k] = codes < _DIFFERENT and number[window].sum() >= POOL
        near = np.convolve(number, np.ones(3, np.int64), "same")
        if self.usual is None:
            tied[:] = False
        else:
            scales = self.usual.scales
            tied &= self.usual.known
            for own, usual in zip((worst, rms), scales, strict=True):
                own[tied] = np.maximum(own, usual)[tied]
        self.typical_value = math.sqrt(self._squares / max(1, total))
        self.tied, self.known = tied, near >= _KNOWN  # at once: other threads may be reading
        if self.kind.storage == "f8":
            typical = self.kind.roundoff * math.sqrt(self._squares / max(1, total))
            worst = np.maximum(worst, typical)
            rms = np.maximum(rms, typical)
        return worst, rms

    @property
    def fixed(self) -> bool:
        """Whether the problem prescribes its tolerances."""
        return self.policy.rtol is not None or self.policy.atol is not None

    def observed(self, truth: Floats) -> Floats:
        """``s(t)``: the largest error of the reference among truths of that magnitude; never a matter of formula."""
        scale: Floats = self.scales[0][exponents(truth)]
        return scale

    def floor(self, truth: Floats) -> Floats:
        """``f(t)``: what rounding alone allows."""
        return np.abs(truth) * (self.kind.roundoff * self.growth)

    def budget(self, truth: Floats, multiple: float | None = None) -> Floats:
        """``b(t)`` for finite truths, in float64."""
        policy = self.policy
        if self.fixed:
            return (policy.atol or 0.0) + (policy.rtol or 0.0) * np.abs(truth) + self.kind.lost
        times = policy.multiple if multiple is None else multiple
        bound = times * np.maximum(self.observed(truth), self.floor(truth))
        bound += 2 * self.kind.roundoff * np.abs(truth)
        bound += np.where(truth == 0, _TRUTH * self.typical_value, 0.0)
        return np.minimum(bound + self.kind.lost, _LARGEST)

    def typical(self, truth: Floats, error: Floats) -> Floats:
        """``M max(e', f)`` of one block: what the second criterion compares with."""
        pooled = self.scales[1]
        if truth.size >= POOL:
            pooled = np.where(self.tied, pooled, 0.0)
        own = np.maximum(error, pooled[exponents(truth)]) if pooled.any() else error
        return self.policy.multiple * np.maximum(own, self.floor(truth))

    @staticmethod
    def block_limit(share: Floats) -> float:
        """``rho`` of one block from its ``M max(e', f) / b``."""
        return math.sqrt(float(np.mean(np.square(share))) + min(_FEW / share.size, 1 / 64))

    def allowed(self, elements: int) -> int:
        """How many elements of a discrete output may differ from the truth."""
        if not self.differing:
            return 0
        return math.ceil(self.policy.multiple * self.differing * elements / self.elements)
