r"""How far a sum may err that was taken in another order than the reference's.

Pairs of pairs, or one term after another: the error of the latter is about :math:`0.2\sqrt{n}\,u` for :math:`n` terms
and unit roundoff :math:`u` when its roundings are independent (N. Higham and T. Mary, A new approach to probabilistic
rounding error analysis, 2019), five times that in some thousands of outputs. With the judge's multiple of 8 this is
:math:`h = \sqrt{n} / 7`. On some hidden distributions roundings are not independent: terms that are equal or nearly so
are all rounded the same way, and many small ones may be lost to a large one. There, where other bugs are looked for
than imprecision, :math:`h = n / 8`, the worst case. The two laws hold for :math:`n \le 2^{16}` and :math:`n \le
2^{12}`, beyond which nobody should sum so, and for types wider than two bytes, which are summed as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kopt.verifiers.dtypes import itemsize
from kopt.words import TensorSpec, WorkloadSpec

_INDEPENDENT = frozenset({"declared", "shifted", "negative"})
"""Distributions that leave a problem's own spread as it is. All others have terms that are nearly equal, some only
inside [0, 1] or behind an exponential."""
_FEW_TERMS = 16
_LONGEST, _LONGEST_BIASED = 1 << 16, 1 << 12


def in_turn(terms: float, *, biased: bool = False) -> float:
    """The factor ``h`` for sums of so many ``terms``; ``biased``: all may be rounded the same way."""
    return max(
        1.0, math.sqrt(min(terms, _LONGEST)) / 7.0, min(terms, _LONGEST_BIASED) / 8.0 if biased else 0.0
    )


def growth(terms: float, h: float = 1.0) -> float:
    """The factor ``g`` of what rounding alone allows an output with so many terms."""
    return max(1.0 + math.log2(terms) / 4.0, h)


def per_output(inputs: int, outputs: int, flops: float = 0.0) -> float:
    """How many terms make an output, at least 1.

    In a matrix product or a convolution each input goes into many sums, so its ``flops`` tell their length.
    """
    return max(1.0, max(inputs, flops / 2) / max(1, outputs))


def longest(spec: WorkloadSpec, output: TensorSpec) -> float:
    """Terms in the longest sum that may be behind an output, by the reference's operators."""
    if itemsize(output.dtype) <= 2:  # summed in a wider type, where another order does not show
        return 1.0
    return max(per_output(0, math.prod(output.shape), spec.flops), spec.longest_sum)


def adds_up(spec: WorkloadSpec, output: TensorSpec) -> bool:
    """Whether the order of summation may show in an output."""
    return max(longest(spec, output), spec.longest_sum) > _FEW_TERMS


def reach(spec: WorkloadSpec, output: TensorSpec, distribution: str) -> float:
    """The factor ``h`` of an output on inputs of a distribution, or of a mixture of several joined by ``+``."""
    return in_turn(longest(spec, output), biased=not _INDEPENDENT.issuperset(distribution.split("+")))


def allowed(spec: WorkloadSpec, output: TensorSpec, distribution: str) -> float:
    """The factor ``g`` of an output on inputs of a distribution."""
    inputs = sum(math.prod(t.shape) for t in (*spec.tensors, *spec.state))
    flops = spec.flops if itemsize(output.dtype) > 2 else 0.0
    return growth(per_output(inputs, math.prod(output.shape), flops), reach(spec, output, distribution))


def groups(spec: WorkloadSpec, names: Sequence[str]) -> list[list[str]]:
    """Which distributions to mix with which: those to which one law applies."""
    if max(longest(spec, output) for output in spec.outputs) <= _FEW_TERMS:
        return [list(names)]
    return [[name for name in names if (name in _INDEPENDENT) is alike] for alike in (True, False)]
