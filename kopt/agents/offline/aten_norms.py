"""Normalisations, written once as mathematics; the loops they become are the generator's business."""

from __future__ import annotations

from collections.abc import Sequence

from kopt.agents.offline.aten import Call, register
from kopt.agents.offline.aten_reductions import vector_norm
from kopt.agents.offline.axes import Dim
from kopt.agents.offline.graph import Ref, Unsupported
from kopt.agents.offline.lower import Lowerer, Term

_EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def _normalise(low: Lowerer, x: Term, dims: Sequence[int], eps: float) -> Term:
    """``(x - mean) / sqrt(var + eps)`` over dimensions."""
    centred = low.op("sub", x, low.mean(x, dims, True))
    spread = low.op("sqrt", low.op("add", low.variance(x, dims, True), eps))
    return low.op("mul", centred, low.op("div", 1, spread))


def _affine(low: Lowerer, x: Term, weight: Term | None, bias: Term | None, channel: int | None) -> Term:
    """``x * weight + bias``; per channel when ``channel`` is given, else along the last dimensions."""

    def placed(term: Term) -> Term:
        if channel is None:
            return term
        return Term(term.expr, (*term.dims, *([] for _ in x.dims[channel + 1 :])), term.dtype)

    if weight is not None:
        x = low.op("mul", x, placed(weight))
    return x if bias is None else low.op("add", x, placed(bias))


@register("layer_norm", "native_layer_norm")
def _layer_norm(c: Call) -> Term:
    x = c.tensor("input")
    rank = len(c.get("normalized_shape"))
    dims = list(range(len(x.dims) - rank, len(x.dims)))
    normal = _normalise(c.low, x, dims, float(c.get("eps", 1e-5)))
    return _affine(c.low, normal, c.maybe("weight"), c.maybe("bias"), None)


@register("rms_norm", "_fused_rms_norm")
def _rms_norm(c: Call) -> Term:
    x = c.tensor("input")
    eps = c.get("eps")
    if eps is None:
        eps = _EPSILON.get(x.dtype, _EPSILON["float32"])
    rank = len(c.get("normalized_shape"))
    dims = list(range(len(x.dims) - rank, len(x.dims)))
    square = c.low.mean(c.low.op("mul", x, x), dims, True)
    scale = c.low.op("div", 1, c.low.op("sqrt", c.low.op("add", square, float(eps))))
    return _affine(c.low, c.low.op("mul", x, scale), c.maybe("weight"), None, None)


@register("group_norm", "native_group_norm")
def _group_norm(c: Call) -> Term:
    x = c.tensor("input")
    source = c.node.args["input"]
    shape = c.shape(source.name) if isinstance(source, Ref) else []
    groups = int(c.get("num_groups"))
    per_group = tuple(n // groups for n in shape[1])
    split = c.low.reshape(x, [shape[0], (groups,) * c.low.traces, per_group, *shape[2:]])
    normal = _normalise(c.low, split, range(2, len(split.dims)), float(c.get("eps", 1e-5)))
    joined = c.low.reshape(normal, shape)
    return _affine(c.low, joined, c.maybe("weight"), c.maybe("bias"), 1)


@register("instance_norm")
def _instance_norm(c: Call) -> Term:
    if not c.get("use_input_stats", True):
        return _with_running_statistics(c)
    x = c.tensor("input")
    normal = _normalise(c.low, x, range(2, len(x.dims)), float(c.get("eps", 1e-5)))
    return _affine(c.low, normal, c.maybe("weight"), c.maybe("bias"), 1)


@register("batch_norm")
def _batch_norm(c: Call) -> Term:
    x = c.tensor("input")
    if not c.get("training", False):
        return _with_running_statistics(c)
    dims = [d for d in range(len(x.dims)) if d != 1]
    normal = _normalise(c.low, x, dims, float(c.get("eps", 1e-5)))
    return _affine(c.low, normal, c.maybe("weight"), c.maybe("bias"), 1)


def _with_running_statistics(c: Call) -> Term:
    x = c.tensor("input")
    mean, variance = c.maybe("running_mean"), c.maybe("running_var")
    if mean is None or variance is None:
        raise Unsupported("batch norm without statistics")
    trailing: tuple[Dim, ...] = tuple([] for _ in x.dims[2:])
    mean = Term(mean.expr, (*mean.dims, *trailing), mean.dtype)
    variance = Term(variance.expr, (*variance.dims, *trailing), variance.dtype)
    scale = c.low.op("div", 1, c.low.op("sqrt", c.low.op("add", variance, float(c.get("eps", 1e-5)))))
    normal = c.low.op("mul", c.low.op("sub", x, mean), scale)
    return _affine(c.low, normal, c.maybe("weight"), c.maybe("bias"), 1)


@register("normalize")
def _normalize(c: Call) -> Term:
    x = c.tensor("self")
    length = vector_norm(c.low, x, c.get("p", 2), c.get("dim", 1), True)
    return c.low.op("div", x, c.low.op("maximum", length, float(c.get("eps", 1e-12))))


@register("cosine_similarity")
def _cosine_similarity(c: Call) -> Term:
    a, b = c.tensor("x1"), c.tensor("x2")
    dim, eps = int(c.get("dim", 1)), float(c.get("eps", 1e-8))
    low = c.low
    # Each length is kept from vanishing on its own, as torch does it.
    lengths = [low.op("maximum", vector_norm(low, t, 2, dim, True), eps) for t in (a, b)]
    return low.reduce("sum", low.op("mul", low.op("div", a, lengths[0]), low.op("div", b, lengths[1])), dim)
