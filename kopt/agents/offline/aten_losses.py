"""Losses, written once as mathematics, with torch's treatment of zeros, reductions and ignored classes."""

from __future__ import annotations

from kopt.agents.offline.aten import Call, register
from kopt.agents.offline.aten_pointwise import log_sigmoid, xlogy
from kopt.agents.offline.aten_reductions import log_softmax
from kopt.agents.offline.graph import Unsupported
from kopt.agents.offline.lower import Lowerer, Term

NONE, MEAN, SUM = 0, 1, 2


def _reduced(low: Lowerer, loss: Term, reduction: int) -> Term:
    if reduction == NONE:
        return loss
    return low.mean(loss, None) if reduction == MEAN else low.reduce("sum", loss, None)


def _pair(c: Call) -> tuple[Lowerer, Term, Term, int]:
    return c.low, c.tensor("self"), c.tensor("target"), int(c.get("reduction", MEAN))


@register("mse_loss")
def _mse(c: Call) -> Term:
    low, x, y, reduction = _pair(c)
    difference = low.op("sub", x, y)
    return _reduced(low, low.op("mul", difference, difference), reduction)


@register("l1_loss")
def _l1(c: Call) -> Term:
    low, x, y, reduction = _pair(c)
    return _reduced(low, low.op("abs", low.op("sub", x, y)), reduction)


@register("smooth_l1_loss", "huber_loss")
def _huber(c: Call) -> Term:
    low, x, y, reduction = _pair(c)
    size = low.op("abs", low.op("sub", x, y))
    if "delta" in c.node.args:
        delta = float(c.get("delta"))
        near = low.op("mul", low.op("mul", size, size), 0.5)
        far = low.op("mul", low.op("sub", size, 0.5 * delta), delta)
    else:
        delta = float(c.get("beta", 1.0))
        if delta == 0:
            return _reduced(low, size, reduction)
        near = low.op("div", low.op("mul", low.op("mul", size, size), 0.5), delta)
        far = low.op("sub", size, 0.5 * delta)
    return _reduced(low, low.op("where", low.op("lt", size, delta), near, far), reduction)


@register("kl_div")
def _kl_div(c: Call) -> Term:
    low, x, y, reduction = _pair(c)
    if c.get("log_target"):
        loss = low.op("mul", low.op("exp", y), low.op("sub", y, x))
    else:
        loss = low.op("sub", xlogy(low, y, y), low.op("mul", y, x))
    return _reduced(low, loss, reduction)


@register("binary_cross_entropy")
def _bce(c: Call) -> Term:
    low, x, y, reduction = _pair(c)

    def log(term: Term) -> Term:  # torch keeps the logarithms above -100
        return low.op("maximum", low.op("log", term), -100)

    wrong = low.op("mul", low.op("sub", y, 1), log(low.op("sub", 1, x)))
    loss = low.op("sub", wrong, low.op("mul", y, log(x)))
    return _reduced(low, _weighted(c, loss), reduction)


@register("binary_cross_entropy_with_logits")
def _bce_logits(c: Call) -> Term:
    low, x, y, reduction = _pair(c)
    positive = c.maybe("pos_weight")
    log_probability = low.apply(lambda e: log_sigmoid(low.pool.make, e), x)
    if positive is not None:
        factor = low.op("add", low.op("mul", low.op("sub", positive, 1), y), 1)
        log_probability = low.op("mul", log_probability, factor)
    loss = low.op("sub", low.op("mul", low.op("sub", 1, y), x), log_probability)
    return _reduced(low, _weighted(c, loss), reduction)


def _weighted(c: Call, loss: Term) -> Term:
    weight = c.maybe("weight")
    return loss if weight is None else c.low.op("mul", loss, weight)


@register("soft_margin_loss")
def _soft_margin(c: Call) -> Term:
    low, x, y, reduction = _pair(c)
    return _reduced(low, low.op("log1p", low.op("exp", low.op("neg", low.op("mul", x, y)))), reduction)


@register("hinge_embedding_loss")
def _hinge_embedding(c: Call) -> Term:
    low, x, y, reduction = _pair(c)
    margin = _positive(low, low.op("sub", float(c.get("margin", 1)), x))
    loss = low.op(
        "add", low.op("where", low.op("eq", y, 1), 0, margin), low.op("where", low.op("eq", y, -1), 0, x)
    )
    return _reduced(low, loss, reduction)


@register("margin_ranking_loss")
def _margin_ranking(c: Call) -> Term:
    low, y, reduction = c.low, c.tensor("target"), int(c.get("reduction", MEAN))
    gap = low.op("sub", c.tensor("input1"), c.tensor("input2"))
    loss = _positive(low, low.op("add", low.op("mul", low.op("neg", y), gap), float(c.get("margin", 0))))
    return _reduced(low, loss, reduction)


def _positive(low: Lowerer, x: Term) -> Term:
    return low.op("where", low.op("lt", x, 0), 0, x)


@register("poisson_nll_loss")
def _poisson(c: Call) -> Term:
    low, x, y = c.low, c.tensor("input"), c.tensor("target")
    if c.get("full"):
        raise Unsupported("a Poisson loss with Stirling's term")
    if c.get("log_input", True):
        loss = low.op("sub", low.op("exp", x), low.op("mul", y, x))
    else:
        loss = low.op("sub", x, low.op("mul", y, low.op("log", low.op("add", x, float(c.get("eps", 1e-8))))))
    return _reduced(low, loss, int(c.get("reduction", MEAN)))


@register("triplet_margin_loss")
def _triplet(c: Call) -> Term:
    if c.get("swap") or c.get("p", 2) != 2:
        raise Unsupported("a triplet loss with swap or another norm")
    low, eps = c.low, float(c.get("eps", 1e-6))

    def distance(a: Term, b: Term) -> Term:
        gap = low.op("add", low.op("sub", a, b), eps)
        return low.op("sqrt", low.reduce("sum", low.op("mul", gap, gap), -1))

    anchor = c.tensor("anchor")
    gap = low.op("sub", distance(anchor, c.tensor("positive")), distance(anchor, c.tensor("negative")))
    loss = _positive(low, low.op("add", gap, float(c.get("margin", 1))))
    return _reduced(low, loss, int(c.get("reduction", MEAN)))


@register("pairwise_distance")
def _pairwise(c: Call) -> Term:
    if c.get("p", 2) != 2:
        raise Unsupported("a pairwise distance of another norm than 2")
    low = c.low
    gap = low.op("add", low.op("sub", c.tensor("x1"), c.tensor("x2")), float(c.get("eps", 1e-6)))
    return low.op("sqrt", low.reduce("sum", low.op("mul", gap, gap), -1, bool(c.get("keepdim"))))


@register("cross_entropy_loss")
def _cross_entropy(c: Call) -> Term:
    low, x, y, reduction = _pair(c)
    if c.maybe("weight") is not None or c.get("label_smoothing"):
        raise Unsupported("a cross entropy with class weights or label smoothing")
    classes = 1 if len(x.dims) > 1 else 0
    if y.dtype.startswith(("float", "bfloat")):  # probabilities, not classes
        loss = low.op("neg", low.reduce("sum", low.op("mul", log_softmax(low, x, classes), y), classes))
        if reduction != MEAN:
            return _reduced(low, loss, reduction)
        per_batch = low.count([d for i, d in enumerate(x.dims) if i != classes])
        return low.op("div", low.reduce("sum", loss, None), per_batch)
    # -log softmax(x)[y] = log sum e^(x - m) - (x[y] - m)
    top = low.reduce("max", x, classes)
    wide = low.reduce("max", x, classes, True)
    total = low.op("log", low.reduce("sum", low.op("exp", low.op("sub", x, wide)), classes))
    picked = low.op("sub", low.gather_last(x, classes, y), top)
    return _class_loss(c, low.op("sub", total, picked), y, reduction)


@register("nll_loss", "nll_loss_nd", "nll_loss2d")
def _nll(c: Call) -> Term:
    low, x, y, reduction = _pair(c)
    if c.maybe("weight") is not None:
        raise Unsupported("a class loss with weights")
    classes = 1 if len(x.dims) > 1 else 0
    return _class_loss(c, low.op("neg", low.gather_last(x, classes, y)), y, reduction)


def _class_loss(c: Call, loss: Term, target: Term, reduction: int) -> Term:
    """Targets equal to ``ignore_index`` count neither in the sum nor in the mean."""
    low = c.low
    counted = low.op("ne", target, float(c.get("ignore_index", -100)))
    loss = low.op("where", counted, loss, 0)
    if reduction != MEAN:
        return _reduced(low, loss, reduction)
    return low.op("div", low.reduce("sum", loss, None), low.reduce("sum", counted, None))
