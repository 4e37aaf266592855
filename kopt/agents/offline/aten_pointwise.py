"""Arithmetic, comparisons and activations: functions of one element of each operand."""

from __future__ import annotations

import math
from collections.abc import Callable

from kopt.agents.offline.aten import Call, Lowering, Make, register
from kopt.agents.offline.expr import Expr
from kopt.agents.offline.graph import Ref, Unsupported
from kopt.agents.offline.lower import Lowerer, Term

_NAMESAKES = (
    "abs acos acosh asin asinh atan atanh ceil cos cosh erf erfc exp exp2 expm1 floor lgamma log log10 log1p log2 neg "
    "round sigmoid sign sin sinh sqrt tan tanh trunc"
)
_UNARY = {
    **{name: name for name in _NAMESAKES.split(" ")},
    "arccos": "acos", "arcsin": "asin", "arctan": "atan", "negative": "neg", "absolute": "abs", "fix": "trunc",
    "special_expit": "sigmoid", "special_erf": "erf", "special_expm1": "expm1", "special_log1p": "log1p",
    "logical_not": "not",
}  # fmt: skip
_BINARY = {
    "mul": "mul", "multiply": "mul", "maximum": "maximum", "minimum": "minimum", "atan2": "atan2", "fmod": "fmod",
    "lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "eq": "eq", "ne": "ne", "less": "lt", "greater": "gt",
    "logical_and": "and", "logical_or": "or", "logical_xor": "xor",
}  # fmt: skip
_TRUTH = {"not", "lt", "le", "gt", "ge", "eq", "ne", "and", "or", "xor"}


def _unary(op: str) -> Lowering:
    return lambda c: c.low.op(op, c.tensor("self"), dtype="bool" if op in _TRUTH else None)


def _binary(op: str) -> Lowering:
    return lambda c: c.low.op(op, c.tensor("self"), c.tensor("other"), dtype="bool" if op in _TRUTH else None)


for _name, _op in _UNARY.items():
    register(_name)(_unary(_op))
for _name, _op in _BINARY.items():
    register(_name)(_binary(_op))


_INTEGERS = {"uint8": (False, 8), "int8": (True, 8), "int16": (True, 16), "int32": (True, 32)}
"""Whether integers have a sign, and how many bits: those that a register's lane holds."""


def _bits(c: Call, op: str, *operands: Term) -> Term:
    """An operator of integers on the bits that are in memory; literals are of the result's dtype, as in torch."""
    dtype = c.low.graph.values[c.node.name].dtype
    if len({x.dtype == "bool" for x in operands if x.expr.op != "const"}) > 1:
        raise Unsupported(f"{c.node.op} of truth values and integers")
    if dtype not in _INTEGERS:
        raise Unsupported(f"bits of {dtype}")
    held = [
        c.low.number(_wrapped(int(x.expr.value), dtype)) if x.expr.op == "const" else c.low.integers(x)
        for x in operands
    ]
    return c.low.op(op, *held, dtype=dtype)


def _wrapped(value: int, dtype: str) -> int:
    """A literal as an integer type holds it."""
    has_sign, bits = _INTEGERS[dtype]
    low = -(1 << bits - 1) if has_sign else 0
    return (value - low) % (1 << bits) + low


for _logic in ("and", "or", "xor"):

    def _bitwise(c: Call, op: str = _logic) -> Term:
        operands = c.tensor("self"), c.tensor("other")
        if all(x.dtype == "bool" for x in operands):
            return c.low.op(op, *operands, dtype="bool")
        return _bits(c, f"bits_{op}", *operands)

    register(f"bitwise_{_logic}", f"__{_logic}__")(_bitwise)


@register("bitwise_right_shift", "__rshift__")
def _right_shift(c: Call) -> Term:
    distance = c.tensor("other")
    if distance.expr.op == "const" and not 0 <= distance.expr.value < 32:
        raise Unsupported(f"a shift by {distance.expr.value:.0f} bits")
    return _bits(c, "shift_right", c.tensor("self"), distance)


@register("bitwise_not")
def _bitwise_not(c: Call) -> Term:
    x = c.tensor("self")
    return (
        c.low.op("not", x, dtype="bool") if x.dtype == "bool" else _bits(c, "bits_xor", x, c.low.number(-1))
    )


def _scaled(c: Call, op: str) -> Term:
    other, alpha = c.tensor("other"), c.get("alpha", 1)
    return c.low.op(op, c.tensor("self"), other if alpha == 1 else c.low.op("mul", other, alpha))


register("add")(lambda c: _scaled(c, "add"))
register("sub", "subtract")(lambda c: _scaled(c, "sub"))


@register("rsub")
def _rsub(c: Call) -> Term:
    own = c.tensor("self")
    alpha = c.get("alpha", 1)
    return c.low.op("sub", c.tensor("other"), own if alpha == 1 else c.low.op("mul", own, alpha))


@register("div", "divide", "true_divide")
def _div(c: Call) -> Term:
    result = c.low.op("div", c.tensor("self"), c.tensor("other"))
    mode = c.get("rounding_mode")
    return result if mode is None else c.low.op(str(mode), result)


@register("pow")
def _pow(c: Call) -> Term:
    x, exponent = c.tensor("self"), c.get("exponent")
    if isinstance(exponent, (int, float)) and not isinstance(exponent, bool):
        if exponent == 0.5:
            return c.low.op("sqrt", x)
        if exponent == -0.5:
            return c.low.op("div", 1, c.low.op("sqrt", x))
        if float(exponent).is_integer() and 1 <= abs(exponent) <= 4:
            result = x
            for _ in range(int(abs(exponent)) - 1):
                result = c.low.op("mul", result, x)
            return result if exponent > 0 else c.low.op("div", 1, result)
    return c.low.op("pow", x, c.tensor("exponent"))


register("square")(lambda c: c.low.op("mul", c.tensor("self"), c.tensor("self")))
register("rsqrt")(lambda c: c.low.op("div", 1, c.low.op("sqrt", c.tensor("self"))))
register("reciprocal")(lambda c: c.low.op("div", 1, c.tensor("self")))
register("where")(lambda c: c.low.op("where", c.tensor("condition"), c.tensor("self"), c.tensor("other")))
register("masked_fill")(lambda c: c.low.op("where", c.tensor("mask"), c.tensor("value"), c.tensor("self")))
register("isnan")(lambda c: c.low.op("ne", c.tensor("self"), c.tensor("self"), dtype="bool"))


def _add_scaled(op: str) -> Lowering:
    def run(c: Call) -> Term:
        scaled = c.low.op("mul", c.tensor("tensor1"), c.get("value", 1))
        return c.low.op("add", c.tensor("self"), c.low.op(op, scaled, c.tensor("tensor2")))

    return run


register("addcmul")(_add_scaled("mul"))
register("addcdiv")(_add_scaled("div"))


@register("lerp")
def _lerp(c: Call) -> Term:
    start, weight = c.tensor("self"), c.tensor("weight")
    return c.low.op("add", start, c.low.op("mul", weight, c.low.op("sub", c.tensor("end"), start)))


@register("xlogy", "special_xlogy")
def _xlogy(c: Call) -> Term:
    return xlogy(c.low, c.tensor("self"), c.tensor("other"))


def xlogy(low: Lowerer, x: Term, y: Term) -> Term:
    """``x log y``, and 0 where x is 0 (but NaN where y is)."""
    product = low.op("mul", x, low.op("log", y))
    zero: Term | int = 0 if x.expr is y.expr else low.op("where", low.op("ne", y, y), y, 0)
    return low.op("where", low.op("eq", x, 0), zero, product)


# Activations -------------------------------------------------------------------------------------------------


def _activation(name: str) -> Callable[[Callable[[Make, Expr, Call], Expr]], None]:
    """Register a function of one element: ``f(pool.make, x, call)``."""

    def enter(function: Callable[[Make, Expr, Call], Expr]) -> None:
        register(name)(lambda c: c.low.apply(lambda x: function(c.low.pool.make, x, c), c.tensor("self")))

    return enter


def _number(c: Call, name: str, default: float) -> float:
    value = c.get(name, default)
    if not isinstance(value, (int, float)):
        raise Unsupported(f"{c.node.op} with {name} = {value}")
    return float(value)


def _clip(m: Make, x: Expr, low: float | None, high: float | None) -> Expr:
    # the bound is the second choice, so that NaN, for which both comparisons are false, stays
    if low is not None:
        x = m("where", m("lt", x, low), low, x)
    if high is not None:
        x = m("where", m("gt", x, high), high, x)
    return x


_activation("relu")(lambda m, x, c: m("where", m("lt", x, 0), 0, x))
_activation("relu6")(lambda m, x, c: _clip(m, x, 0, 6))
_activation("hardtanh")(lambda m, x, c: _clip(m, x, _number(c, "min_val", -1), _number(c, "max_val", 1)))
_activation("clamp_min")(lambda m, x, c: _clip(m, x, _number(c, "min", 0), None))
_activation("clamp_max")(lambda m, x, c: _clip(m, x, None, _number(c, "max", 0)))
_activation("silu")(lambda m, x, c: m("div", x, m("add", 1, m("exp", m("neg", x)))))
_activation("hardsigmoid")(lambda m, x, c: m("div", _clip(m, m("add", x, 3), 0, 6), 6))
_activation("hardswish")(lambda m, x, c: m("div", m("mul", x, _clip(m, m("add", x, 3), 0, 6)), 6))
_activation("leaky_relu")(
    lambda m, x, c: m("where", m("gt", x, 0), x, m("mul", x, _number(c, "negative_slope", 0.01)))
)
_activation("tanhshrink")(lambda m, x, c: m("sub", x, m("tanh", x)))
_activation("frac")(lambda m, x, c: m("sub", x, m("trunc", x)))
_activation("mish")(lambda m, x, c: m("mul", x, m("tanh", softplus(m, x))))
_activation("softplus")(lambda m, x, c: softplus(m, x, _number(c, "beta", 1), _number(c, "threshold", 20)))
_activation("log_sigmoid")(lambda m, x, c: log_sigmoid(m, x))
_activation("logit")(lambda m, x, c: m("log", m("div", x, m("sub", 1, x))))
_activation("threshold")(
    lambda m, x, c: m("where", m("le", x, _number(c, "threshold", 0)), _number(c, "value", 0), x)
)
_activation("softshrink")(
    lambda m, x, c: m(
        "where", m("gt", x, _number(c, "lambd", 0.5)), m("sub", x, _number(c, "lambd", 0.5)),
        m("where", m("lt", x, -_number(c, "lambd", 0.5)), m("add", x, _number(c, "lambd", 0.5)), m("mul", x, 0)),
    )
)  # fmt: skip
_activation("hardshrink")(
    lambda m, x, c: m(
        "where", m("and", m("ge", x, -_number(c, "lambd", 0.5)), m("le", x, _number(c, "lambd", 0.5))), 0, x
    )
)
_activation("selu")(lambda m, x, c: _elu(m, x, 1.6732632423543772, 1.0507009873554805, 1))
_activation("celu")(lambda m, x, c: _elu(m, x, _number(c, "alpha", 1), 1, 1 / _number(c, "alpha", 1)))
_activation("elu")(
    lambda m, x, c: _elu(m, x, _number(c, "alpha", 1), _number(c, "scale", 1), _number(c, "input_scale", 1))
)


def softplus(m: Make, x: Expr, beta: float = 1, threshold: float = 20) -> Expr:
    """``log(1 + e^(beta x)) / beta``, and x itself beyond the threshold."""
    scaled = m("mul", x, beta)
    return m("where", m("gt", scaled, threshold), x, m("div", m("log1p", m("exp", scaled)), beta))


def log_sigmoid(m: Make, x: Expr) -> Expr:
    """``min(x, 0) - log(1 + e^-|x|)``."""
    return m("sub", m("where", m("gt", x, 0), 0, x), m("log1p", m("exp", m("neg", m("abs", x)))))


def _elu(m: Make, x: Expr, alpha: float, scale: float, input_scale: float) -> Expr:
    negative = m("mul", m("expm1", m("mul", x, input_scale)), alpha * scale)
    return m("where", m("gt", x, 0), m("mul", x, scale), negative)


@register("gelu")
def _gelu(c: Call) -> Term:
    make = c.low.pool.make

    def exact(x: Expr) -> Expr:
        return make("mul", make("mul", x, 0.5), make("add", 1, make("erf", make("mul", x, math.sqrt(0.5)))))

    def approximate(x: Expr) -> Expr:
        cube = make("mul", make("mul", x, x), x)
        inner = make("mul", make("add", x, make("mul", cube, 0.044715)), math.sqrt(2 / math.pi))
        return make("mul", make("mul", x, 0.5), make("add", 1, make("tanh", inner)))

    return c.low.apply(approximate if c.get("approximate") == "tanh" else exact, c.tensor("self"))


@register("prelu")
def _prelu(c: Call) -> Term:
    x, weight = c.tensor("self"), c.tensor("weight")
    if weight.dims and len(x.dims) > 1 and weight.dims[0]:
        weight = Term(weight.expr, (weight.dims[0], *([] for _ in x.dims[2:])), weight.dtype)
    return c.low.op("where", c.low.op("gt", x, 0), x, c.low.op("mul", weight, x))


@register("clamp", "clip")
def _clamp(c: Call) -> Term:
    x = c.tensor("self")
    for name, op in (("min", "maximum"), ("max", "minimum")):
        bound = c.get(name)
        if isinstance(bound, Ref):
            x = c.low.op(op, x, c.tensor(name))
        elif bound is not None:
            low, high = (bound, None) if name == "min" else (None, bound)
            x = c.low.apply(lambda e, lo=low, hi=high: _clip(c.low.pool.make, e, lo, hi), x)
    return x
