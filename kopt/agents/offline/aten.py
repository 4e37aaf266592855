"""What each ATen operation means, in pointwise expressions, reductions and changes of shape.

Kept apart from :mod:`aten_losses` and :mod:`aten_norms` only by subject; all three register in ``OPERATIONS`` by the
operation's name without its overload (``aten.gelu``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from kopt.agents.offline.axes import Size
from kopt.agents.offline.expr import Expr
from kopt.agents.offline.graph import Node, Ref, Unsupported
from kopt.agents.offline.lower import Lowerer, Term

Lowering = Callable[["Call"], "Term | tuple[Term, ...]"]
OPERATIONS: dict[str, Lowering] = {}


class Call:
    """One operation being lowered: its arguments, and the words its meaning is written in."""

    def __init__(self, low: Lowerer, node: Node) -> None:
        self.low = low
        self.node = node

    def get(self, name: str, default: Any = None) -> Any:
        """A literal argument."""
        return self.node.args.get(name, default)

    def tensor(self, name: str) -> Term:
        """A tensor argument; numbers count as tensors without dimensions."""
        held = self.node.args.get(name)
        if isinstance(held, Ref):
            return self.low.term(held.name)
        if isinstance(held, (bool, int, float)):
            return self.low.number(held)
        raise Unsupported(f"{self.node.op} without {name}")

    def maybe(self, name: str) -> Term | None:
        """A tensor argument that may be None."""
        return None if self.node.args.get(name) is None else self.tensor(name)

    def shape(self, name: str) -> list[Size]:
        """The shape of a graph value, each size in every trace."""
        value = self.low.graph.values[name]
        return [value.extents(d) for d in range(len(value.shape))]


def register(*names: str) -> Callable[[Lowering], Lowering]:
    """Enter a lowering under operation names."""

    def enter(function: Lowering) -> Lowering:
        for name in names:
            OPERATIONS[f"aten.{name}" if name != "getitem" else name] = function
        return function

    return enter


def base(op: str) -> str:
    """``aten.add.Tensor`` -> ``aten.add``; in-place forms count as the plain ones."""
    name = ".".join(op.split(".")[:2])
    return name.rstrip("_") if not name.endswith("__") else name


def lower(low: Lowerer, node: Node) -> Term | tuple[Term, ...]:
    """Lower one operation.

    Raises:
        Unsupported: it has no lowering here.
    """
    from kopt.agents.offline import aten_losses, aten_norms  # they register themselves

    assert aten_losses and aten_norms
    operation = OPERATIONS.get(base(node.op))
    if operation is None:
        raise Unsupported(f"{node.op} has no lowering")
    return operation(Call(low, node))


# Pointwise ---------------------------------------------------------------------------------------------------

_UNARY = {
    **{name: name for name in ["abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "erf", "erfc", "exp", "exp2", "expm1", "floor"]},
    **{name: name for name in ["lgamma", "log", "log10", "log1p", "log2", "neg", "round", "sigmoid", "sign", "sin", "sinh", "sqrt", "tan", "tanh", "trunc"]},
    "arccos": "acos", "arcsin": "asin", "arctan": "atan", "negative": "neg", "absolute": "abs", "fix": "trunc",
    "special_expit": "sigmoid", "special_erf": "erf", "special_expm1": "expm1", "special_log1p": "log1p",
    "logical_not": "not", "bitwise_not": "not",
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
for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    _logic = _name.removeprefix("bitwise_")

    def _bitwise(c: Call, op: str = _logic) -> Term:
        if any(c.tensor(n).dtype != "bool" for n in ("self", "other")):
            raise Unsupported(f"{c.node.op} of integers")
        return c.low.op(op, c.tensor("self"), c.tensor("other"), dtype="bool")

    register(_name)(_bitwise)


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
register("addcmul")(
    lambda c: c.low.op(
        "add", c.tensor("self"), c.low.op("mul", c.low.op("mul", c.tensor("tensor1"), c.get("value", 1)), c.tensor("tensor2"))
    )
)  # fmt: skip
register("addcdiv")(
    lambda c: c.low.op(
        "add", c.tensor("self"), c.low.op("div", c.low.op("mul", c.tensor("tensor1"), c.get("value", 1)), c.tensor("tensor2"))
    )
)  # fmt: skip


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


def _activation(name: str) -> Callable[[Callable[[Any, Expr, Call], Expr]], None]:
    """Register a function of one element: ``f(pool.make, x, call)``."""

    def enter(function: Callable[[Any, Expr, Call], Expr]) -> None:
        register(name)(lambda c: c.low.apply(lambda x: function(c.low.pool.make, x, c), c.tensor("self")))

    return enter


def _number(c: Call, name: str, default: float) -> float:
    value = c.get(name, default)
    if not isinstance(value, (int, float)):
        raise Unsupported(f"{c.node.op} with {name} = {value}")
    return float(value)


def _clip(m: Any, x: Expr, low: float | None, high: float | None) -> Expr:
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


def softplus(m: Any, x: Expr, beta: float = 1, threshold: float = 20) -> Expr:
    """``log(1 + e^(beta x)) / beta``, and x itself beyond the threshold."""
    scaled = m("mul", x, beta)
    return m("where", m("gt", scaled, threshold), x, m("div", m("log1p", m("exp", scaled)), beta))


def log_sigmoid(m: Any, x: Expr) -> Expr:
    """``min(x, 0) - log(1 + e^-|x|)``."""
    return m("sub", m("where", m("gt", x, 0), 0, x), m("log1p", m("exp", m("neg", m("abs", x)))))


def _elu(m: Any, x: Expr, alpha: float, scale: float, input_scale: float) -> Expr:
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


@register("glu")
def _glu(c: Call) -> Term:
    x = c.tensor("self")
    first, second = _pieces(c, x, int(c.get("dim", -1)), 2)
    return c.low.op("mul", first, c.low.op("sigmoid", second))


# Reductions --------------------------------------------------------------------------------------------------


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


# Shapes ------------------------------------------------------------------------------------------------------


@register(
    "view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as"
)
def _reshape(c: Call) -> Term:
    return c.low.reshape(c.tensor("self"), c.shape(c.node.name))


def _same(c: Call) -> Term:
    return c.tensor("self")


register("contiguous", "clone", "alias", "detach", "lift_fresh_copy", "lift_fresh", "lift")(_same)


@register("dropout", "feature_dropout", "native_dropout", "alpha_dropout")
def _dropout(c: Call) -> Term:
    if c.get("train") and c.get("p"):
        raise Unsupported("dropout draws random numbers")
    return c.tensor("input")


@register("to", "_to_copy", "type_as", "float", "_assert_tensor_metadata")
def _to(c: Call) -> Term:
    own = c.tensor("self" if "self" in c.node.args else "a")
    value = c.low.graph.values.get(c.node.name)
    wanted = value.dtype if value else own.dtype
    if wanted == "bool" and own.dtype != "bool":
        return c.low.op("ne", own, 0, dtype="bool")
    if wanted.startswith(("int", "uint")) and own.dtype.startswith(("float", "bfloat")):
        return c.low.op("trunc", own, dtype=wanted)
    return Term(c.low.pool.real(own.expr) if wanted != "bool" else own.expr, own.dims, wanted)


@register("expand", "expand_as", "broadcast_to")
def _expand(c: Call) -> Term:
    x, wanted = c.tensor("self"), c.shape(c.node.name)
    dims = [*([] for _ in range(len(wanted) - len(x.dims))), *x.dims]
    target = [d if d else c.low.spaces.fresh(n) for d, n in zip(dims, wanted, strict=True)]
    return Term(x.expr, tuple(target), x.dtype)


@register("permute", "transpose", "t", "swapaxes", "movedim", "numpy_T", "mT")
def _permute(c: Call) -> Term:
    x = c.tensor("self")
    rank = len(x.dims)
    order = list(range(rank))
    name = base(c.node.op)
    if name in ("aten.transpose", "aten.swapaxes"):
        a, b = (int(c.get(n, c.get(m, 0))) % rank for n, m in (("dim0", "axis0"), ("dim1", "axis1")))
        order[a], order[b] = b, a
    elif name == "aten.permute":
        order = [d % rank for d in c.get("dims")]
    elif name == "aten.mT":
        order[-2:] = [rank - 1, rank - 2]
    elif name in ("aten.t", "aten.numpy_T"):
        order.reverse()
    else:
        raise Unsupported(f"{c.node.op} has no lowering")
    return Term(x.expr, tuple(x.dims[d] for d in order), x.dtype)


@register("slice", "narrow")
def _slice(c: Call) -> Term:
    x = c.tensor("self")
    source = c.node.args["self"]
    dim = int(c.get("dim", 0)) % len(x.dims)
    have = c.shape(source.name)[dim] if isinstance(source, Ref) else ()
    want = c.shape(c.node.name)[dim]
    if have == want:
        return x
    start, step = c.get("start", 0) or 0, int(c.get("step", 1))
    begins = tuple(int(start) if start >= 0 else n + int(start) for n in have)
    return c.low.slice(x, dim, begins, step, want)


@register("select")
def _select(c: Call) -> Term:
    x = c.tensor("self")
    source = c.node.args["self"]
    dim, index = int(c.get("dim", 0)) % len(x.dims), int(c.get("index", 0))
    have = c.shape(source.name)[dim] if isinstance(source, Ref) else ()
    begins = tuple(index if index >= 0 else n + index for n in have)
    one = c.low.slice(x, dim, begins, 1, (1,) * c.low.traces)
    return Term(one.expr, tuple(d for i, d in enumerate(one.dims) if i != dim), one.dtype)


def _pieces(c: Call, x: Term, dim: int, count: int) -> list[Term]:
    dim %= len(x.dims)
    source = c.node.args["self"]
    have = c.shape(source.name)[dim] if isinstance(source, Ref) else ()
    if any(n % count for n in have):
        raise Unsupported("pieces of unequal size")
    size = tuple(n // count for n in have)
    return [c.low.slice(x, dim, tuple(i * n for n in size), 1, size) for i in range(count)]


@register("chunk")
def _chunk(c: Call) -> tuple[Term, ...]:
    return tuple(_pieces(c, c.tensor("self"), int(c.get("dim", 0)), int(c.get("chunks", 1))))


@register("split", "split_with_sizes")
def _split(c: Call) -> tuple[Term, ...]:
    x = c.tensor("self")
    source = c.node.args["self"]
    dim = int(c.get("dim", 0)) % len(x.dims)
    have = c.shape(source.name)[dim] if isinstance(source, Ref) else ()
    sizes: Any = c.get("split_size", c.get("split_sizes"))
    if isinstance(sizes, int):
        return tuple(_pieces(c, x, dim, -(-have[0] // sizes)))
    if c.low.traces > 1:
        raise Unsupported("pieces of fixed sizes while sizes vary")
    begins = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(c.low.slice(x, dim, (b,), 1, (n,)) for b, n in zip(begins, sizes, strict=True))


def _filled(value: float) -> Lowering:
    def run(c: Call) -> Term:
        shape: Sequence[Size] = c.shape(c.node.name)
        return Term(c.low.pool.const(value), tuple([] for _ in shape), c.low.graph.values[c.node.name].dtype)

    return run


register("zeros", "zeros_like", "new_zeros")(_filled(0))
register("ones", "ones_like", "new_ones")(_filled(1))


@register("broadcast_tensors")
def _broadcast_tensors(c: Call) -> tuple[Term, ...]:
    held = [c.low.term(r.name) for r in c.get("tensors") if isinstance(r, Ref)]
    dims = c.low.broadcast(*held)
    return tuple(Term(t.expr, dims, t.dtype) for t in held)


@register("full", "full_like", "new_full", "scalar_tensor")
def _full(c: Call) -> Term:
    value = c.get("fill_value", c.get("s"))
    if not isinstance(value, (bool, int, float)):
        raise Unsupported("a fill value that is not a number")
    return _filled(float(value))(c)  # type: ignore[return-value]
