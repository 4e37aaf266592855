"""Changes of shape, slices, casts and constant tensors: they cost no code, only other axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kopt.agents.offline.aten import Call, Lowering, base, register
from kopt.agents.offline.axes import Size
from kopt.agents.offline.graph import Ref, Unsupported
from kopt.agents.offline.lower import Term


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
    begins = tuple(b if b >= 0 else n + b for n, b in zip(have, c.each("start", 0), strict=True))
    step = int(c.get("step", 1))
    return c.low.slice(x, dim, begins, step, want)


@register("select")
def _select(c: Call) -> Term:
    x = c.tensor("self")
    source = c.node.args["self"]
    dim = int(c.get("dim", 0)) % len(x.dims)
    have = c.shape(source.name)[dim] if isinstance(source, Ref) else ()
    begins = tuple(b if b >= 0 else n + b for n, b in zip(have, c.each("index", 0), strict=True))
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
    sizes: Any = c.node.args.get("split_size", c.node.args.get("split_sizes"))
    if isinstance(sizes, int):
        counts = {-(-n // size) for n, size in zip(have, c.each("split_size", 1), strict=True)}
        if len(counts) > 1:
            raise Unsupported("another number of pieces in another workload")
        return tuple(_pieces(c, x, dim, counts.pop()))
    if c.low.traces > 1:
        raise Unsupported("pieces of fixed sizes while sizes vary")
    begins = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(c.low.slice(x, dim, (b,), 1, (n,)) for b, n in zip(begins, sizes, strict=True))


@register("cat", "concat", "concatenate")
def _cat(c: Call) -> Term:
    """Equal pieces: the dimension becomes which piece, then where in it, and the piece is chosen by that number."""
    return _joined(c, stacked=False)


@register("stack")
def _stack(c: Call) -> Term:
    """Like a concatenation, but which piece it is has a dimension of its own."""
    return _joined(c, stacked=True)


def _joined(c: Call, *, stacked: bool) -> Term:
    held = [r.name for r in c.get("tensors") if isinstance(r, Ref)]
    if len({tuple(c.shape(name)) for name in held}) != 1:
        raise Unsupported("a concatenation of pieces of unequal size")
    terms = [c.low.term(name) for name in held]
    dims = c.low.broadcast(*terms)
    dim = int(c.get("dim", 0)) % (len(dims) + stacked)
    spread = (*dims[:dim], [], *dims[dim:])
    which = c.low.numbers(len(terms))
    along = Term(
        which.expr, (*([] for _ in dims[:dim]), which.dims[0], *([] for _ in dims[dim:])), which.dtype
    )
    made, *rest = (Term(t.expr, spread, t.dtype) for t in terms)
    for number, piece in enumerate(rest, 1):
        made = c.low.op("where", c.low.op("eq", along, number, dtype="bool"), piece, made)
    at = which.dims[0]
    behind = dims[dim:] if stacked else ([*at, *dims[dim]], *dims[dim + 1 :])
    return Term(made.expr, (*dims[:dim], *([at] if stacked else []), *behind), terms[0].dtype)


@register("arange")
def _arange(c: Call) -> Term:
    """Whole numbers at equal distances: no tensor, but a number that each loop makes of its index."""
    (size,) = c.shape(c.node.name)
    start, step = c.each("start", 0), c.each("step", 1)
    value = c.low.graph.values[c.node.name]
    written = [c.node.args.get(name) for name in ("start", "step")]
    if any(isinstance(v, float) and v != int(v) for v in written):
        raise Unsupported("arange of numbers that are not whole")
    return c.low.counted(size, start, step, value.dtype)


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


@register("glu")
def _glu(c: Call) -> Term:
    x = c.tensor("self")
    first, second = _pieces(c, x, int(c.get("dim", -1)), 2)
    return c.low.op("mul", first, c.low.op("sigmoid", second))
