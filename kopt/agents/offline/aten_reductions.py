"""Sums, extremes, variances, norms and softmax."""

from __future__ import annotations

import math
from typing import Any

from kopt.agents.offline.aten import Call, Lowering, register
from kopt.agents.offline.graph import Ref, Unsupported
from kopt.agents.offline.lower import Lowerer, Term


def _axis(c: Call) -> tuple[Any, bool]:
    return c.get("dim"), bool(c.get("keepdim", False))


register("sum")(lambda c: c.low.reduce("sum", c.tensor("self"), *_axis(c)))
register("mean")(lambda c: c.low.mean(c.tensor("self"), *_axis(c)))
register("amax")(lambda c: c.low.reduce("max", c.tensor("self"), *_axis(c)))
register("amin")(lambda c: c.low.reduce("min", c.tensor("self"), *_axis(c)))
register("prod")(lambda c: c.low.reduce("prod", c.tensor("self"), *_axis(c)))


def _extreme(op: str) -> Lowering:
    def run(c: Call) -> Term | tuple[Term, ...]:
        if "other" in c.node.args:  # max(a, b) is maximum
            return c.low.op(f"{op}imum", c.tensor("self"), c.tensor("other"))
        values = c.low.reduce(op, c.tensor("self"), *_axis(c))
        if "dim" not in c.node.args:
            return values
        return (values,)  # the indices are not computed here: reading them is refused below

    return run


register("max")(_extreme("max"))
register("min")(_extreme("min"))


@register("getitem")
def _getitem(c: Call) -> Term:
    source, index = c.get("arg0"), c.get("arg1")
    held = c.low.terms.get(source.name) if isinstance(source, Ref) else None
    if not isinstance(held, tuple) or not isinstance(index, int):
        raise Unsupported("an element of something that is not several tensors")
    if index >= len(held):
        raise Unsupported("indices of a maximum or minimum")
    return held[index]


def _var(c: Call) -> Term:
    dim, keepdim = _axis(c)
    correction = c.get("correction", 1 if c.get("unbiased", True) else 0)
    return c.low.variance(c.tensor("self"), dim, keepdim, 1 if correction is None else float(correction))


register("var")(_var)
register("std")(lambda c: c.low.op("sqrt", _var(c)))
register("any")(lambda c: _truth(c, "max"))
register("all")(lambda c: _truth(c, "min"))


def _truth(c: Call, op: str) -> Term:
    reduced = c.low.reduce(op, c.low.op("ne", c.tensor("self"), 0), *_axis(c))
    return c.low.op("ne", reduced, 0, dtype="bool")


@register("logsumexp")
def _logsumexp(c: Call) -> Term:
    dim, keepdim = _axis(c)
    return logsumexp(c.low, c.tensor("self"), dim, keepdim)


def logsumexp(low: Lowerer, x: Term, dim: Any, keepdim: bool = False) -> Term:
    """``m + log sum e^(x - m)``; an infinite maximum m is not subtracted, as in torch."""
    top = low.reduce("max", x, dim, True)
    top = low.op("where", low.op("eq", low.op("abs", top), math.inf), 0, top)
    total = low.reduce("sum", low.op("exp", low.op("sub", x, top)), dim, True)
    result = low.op("add", low.op("log", total), top)
    if keepdim:
        return result
    gone = low.dims(x, dim)
    return Term(result.expr, tuple(d for i, d in enumerate(result.dims) if i not in gone), result.dtype)


@register("linalg_vector_norm", "norm")
def _norm(c: Call) -> Term:
    order = c.get("ord", c.get("p", 2))
    x = c.tensor("self")
    return vector_norm(c.low, x, 2 if order is None else order, *_axis(c))


@register("frobenius_norm")
def _frobenius(c: Call) -> Term:
    return vector_norm(c.low, c.tensor("self"), 2, *_axis(c))


def vector_norm(low: Lowerer, x: Term, order: Any, dim: Any, keepdim: bool = False) -> Term:
    """The p-norm along dimensions."""
    magnitude = low.op("abs", x)
    if order == 2:
        return low.op("sqrt", low.reduce("sum", low.op("mul", x, x), dim, keepdim))
    if order == 1:
        return low.reduce("sum", magnitude, dim, keepdim)
    if order == math.inf:
        return low.reduce("max", magnitude, dim, keepdim)
    if not isinstance(order, (int, float)) or order <= 0:
        raise Unsupported(f"a norm of order {order}")
    powers = low.reduce("sum", low.op("pow", magnitude, float(order)), dim, keepdim)
    return low.op("pow", powers, 1 / order)


@register("softmax", "_softmax")
def _softmax(c: Call) -> Term:
    x, dim = c.tensor("self"), int(c.get("dim"))
    powers = c.low.op("exp", c.low.op("sub", x, c.low.reduce("max", x, dim, True)))
    # The sum lies between 1 and the number of terms, so that its inverse is exact enough: one division per row.
    return c.low.op("mul", powers, c.low.op("div", 1, c.low.reduce("sum", powers, dim, True)))


@register("log_softmax", "_log_softmax")
def _log_softmax(c: Call) -> Term:
    return log_softmax(c.low, c.tensor("self"), int(c.get("dim")))


def log_softmax(low: Lowerer, x: Term, dim: int) -> Term:
    """``(x - m) - log sum e^(x - m)`` along a dimension."""
    centred = low.op("sub", x, low.reduce("max", x, dim, True))
    return low.op("sub", centred, low.op("log", low.reduce("sum", low.op("exp", centred), dim, True)))
