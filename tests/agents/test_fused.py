"""Every family of fused loops, compiled for real and compared with torch in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kopt.agents.offline.fused import recognise
from kopt.agents.offline.graph import Unsupported
from kopt.agents.offline.reading import parse
from kopt.agents.tunables import instantiate
from tests.agents.against_truth import half


def r(*shape: int) -> torch.Tensor:
    return torch.randn(*shape)


def hand_written_rms(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(torch.mean(x * x, dim=-1, keepdim=True) + 1e-6)


def swiglu(x: torch.Tensor) -> torch.Tensor:
    a, b = x.chunk(2, dim=-1)
    return F.silu(a) * b


def rotary(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    rotated = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    return x * cos.unsqueeze(1) + rotated * sin.unsqueeze(1)


def in_place(x: torch.Tensor) -> torch.Tensor:
    y = x * 2
    y.relu_()
    y += 1
    return y * x


CASES: dict[str, tuple[Any, Callable[[], tuple[torch.Tensor, ...]], list[str]]] = {
    "activations": (
        lambda x: F.mish(F.gelu(x)) + F.elu(torch.tanh(x)) * F.softplus(x),
        lambda: (r(33, 101),),
        ["flat"],
    ),
    "in_place": (in_place, lambda: (r(33, 101),), ["flat"]),
    "swiglu": (swiglu, lambda: (r(7, 50),), ["flat"]),
    "rotary": (rotary, lambda: (r(7, 3, 74), r(7, 74), r(7, 74)), ["flat"]),
    "three_pieces": (
        lambda x, y: torch.cat((x, torch.relu(y), x * 2), 1),
        lambda: (r(5, 6, 35), r(5, 6, 35)),
        ["flat"],
    ),
    "broadcast": (lambda x, y: x * y + y, lambda: (r(4, 6, 35), r(6, 1)), ["flat"]),
    "softmax_inner": (lambda x: F.softmax(x, -1), lambda: (r(9, 1001),), ["rows"]),
    "softmax_outer": (lambda x: F.softmax(x, 1), lambda: (r(3, 17, 35),), ["columns"]),
    "log_softmax": (lambda x: F.log_softmax(x, -1), lambda: (r(9, 101),), ["rows"]),
    "layer_norm": (nn.LayerNorm(101), lambda: (r(9, 101),), ["rows"]),
    "rms_norm": (lambda x, w: F.rms_norm(x, (101,), w), lambda: (r(9, 101), r(101)), ["rows"]),
    "rms_by_hand": (hand_written_rms, lambda: (r(9, 101),), ["rows"]),
    "group_norm": (nn.GroupNorm(4, 16), lambda: (r(2, 16, 5, 7),), ["rows"]),
    "batch_norm": (nn.BatchNorm2d(8), lambda: (r(4, 8, 5, 7),), ["rows"]),
    "batch_norm_eval": (nn.BatchNorm2d(8).eval(), lambda: (r(4, 8, 5, 7),), ["flat"]),
    "instance_norm": (nn.InstanceNorm2d(8), lambda: (r(4, 8, 5, 7),), ["rows"]),
    "sum_inner": (lambda x: x.sum(-1), lambda: (r(9, 20001),), ["rows"]),
    "sum_middle": (lambda x: x.sum(1, keepdim=True), lambda: (r(3, 200, 35),), ["columns"]),
    "mean_outer": (lambda x: x.mean(0), lambda: (r(100, 333),), ["columns"]),
    "max_middle": (lambda x: x.max(1)[0], lambda: (r(3, 20, 35),), ["columns"]),
    "frobenius": (lambda x: x / x.norm(), lambda: (r(60, 1001),), ["split"]),
    "mse": (F.mse_loss, lambda: (r(60, 1001), r(60, 1001)), ["split"]),
    "kl_div": (
        lambda x, y: F.kl_div(torch.log(x), y, reduction="batchmean"),
        lambda: (r(64, 300).softmax(-1), r(64, 300).softmax(-1)),
        ["split"],
    ),
    "cross_entropy": (F.cross_entropy, lambda: (r(40, 101), torch.randint(0, 101, (40,))), ["rows"]),
    "triplet": (F.triplet_margin_loss, lambda: (r(40, 101), r(40, 101), r(40, 101)), ["rows"]),
    "two_stages": (lambda x: F.softmax(x, -1).sum(0), lambda: (r(64, 300),), ["rows", "columns"]),
    "several_outputs": (lambda x: (x.sum(-1), x * 2), lambda: (r(9, 101),), ["rows"]),
    "bfloat16": (lambda x: F.silu(F.softmax(x, -1)), lambda: (r(9, 101).bfloat16(),), ["rows"]),
    "float16": (lambda x: F.silu(x), lambda: (r(9, 101).half(),), ["flat"]),
    "float64": (lambda x: F.softmax(x, -1), lambda: (r(9, 101).double(),), ["rows"]),
}


HALF = ("activations", "softmax_outer", "layer_norm", "frobenius", "float16", "cross_entropy")
"""Compiled for registers of half the width; all others for the machine's own."""


@pytest.mark.parametrize("name", CASES)
def test_family_is_as_exact_as_torch(name: str, compiled: Any, graph_of: Any, call: Any) -> None:
    torch.manual_seed(0)
    model, make, kinds = CASES[name]
    inputs = make()
    plan = recognise(graph_of(model, *inputs))
    assert plan is not None
    assert plan.kinds == kinds
    wide = copy.deepcopy(model).double() if isinstance(model, nn.Module) else model
    truth = wide(*(x.double() if x.is_floating_point() else x for x in inputs))
    truths = list(truth) if isinstance(truth, (tuple, list)) else [truth]
    candidate = instantiate(next(iter(plan.candidates())), half() if name in HALF else {})
    wanted, got = call(compiled(candidate), model, inputs)
    for reference, output, exact in zip(wanted, got, truths, strict=True):
        unit = torch.finfo(output.dtype).eps * exact.abs().max().clamp(min=1e-30)
        budget = 4 * (reference.double() - exact).abs().max() + unit
        assert (output.double() - exact).abs().max() <= budget


def test_nan_and_infinities_go_where_the_reference_puts_them(compiled: Any, graph_of: Any, call: Any) -> None:
    x = r(16, 257)
    inf = float("inf")
    x[3, 5], x[7, 200], x[9, 256], x[12, 0], x[12, 1] = float("nan"), inf, -inf, inf, -inf
    x[11, :], x[13, :], x[14, :], x[15, :] = -inf, 1e38, 1e-40, 0

    def everything(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (
            F.softmax(x, -1),
            x.amax(-1),
            x.sum(-1),
            torch.sigmoid(x),
            F.relu(x),
            x.clamp(-1, 1),
            torch.log(x),
        )

    plan = recognise(graph_of(everything, x))
    assert plan is not None
    for candidate in (c for c in plan.candidates() if c.language == "cpp"):
        for wanted, got in zip(*call(compiled(candidate), everything, (x,)), strict=True):
            assert torch.equal(wanted.isnan(), got.isnan())
            assert torch.equal(wanted.isinf(), got.isinf())
            assert torch.equal(wanted[wanted.isinf()], got[got.isinf()])


def test_one_kernel_serves_sizes_it_was_not_traced_at(compiled: Any, trace_json: Any, call: Any) -> None:
    def model(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(F.silu(x), (x.shape[-1],), y)

    traces = [trace_json(model, r(2, 8, n), r(n)) for n in (100,)] + [
        trace_json(model, r(4, 16, 300), r(300))
    ]
    plan = recognise(parse(*traces))
    assert plan is not None
    entry = compiled(next(iter(plan.candidates())))
    for shape in ((3, 5, 77), (2, 9, 20000)):
        wanted, got = call(entry, model, (r(*shape), r(shape[-1])))
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


def test_the_loop_is_the_same_however_the_mathematics_is_written(graph_of: Any) -> None:
    by_hand = recognise(graph_of(hand_written_rms, r(9, 101)))
    composite = recognise(graph_of(lambda x: F.rms_norm(x, (101,), eps=1e-6), r(9, 101)))
    assert by_hand is not None and composite is not None
    assert next(iter(by_hand.candidates())).sources == next(iter(composite.candidates())).sources


def test_a_tensor_with_its_own_transpose_is_refused_with_a_reason(graph_of: Any) -> None:
    with pytest.raises(Unsupported, match="own transpose"):
        recognise(graph_of(lambda x: x + x.t(), r(8, 8)))


def test_softmax_offers_keeping_and_recomputing_the_exponentials(graph_of: Any) -> None:
    plan = recognise(graph_of(lambda x: F.softmax(x, -1), r(9, 101)))
    assert plan is not None
    sources = [c.sources["kernel.cpp"] for c in plan.candidates() if c.language == "cpp"]
    assert ["kept0" in s for s in sources] == [True, False]


def test_numbers_that_follow_from_a_size_vary_with_it(serves: Any) -> None:
    """A batch size that the reference divides by, and where a slice begins, are read anew in every call."""
    serves(
        recognise,
        lambda x: x[:, x.shape[1] // 2 :] / x.shape[1],
        [(5, 8), (5, 6), (5, 14)],
        [(5, 22)],
    )


def test_another_number_without_a_size_behind_it_is_refused(trace_json: Any) -> None:
    graph = parse(*(trace_json(lambda x: F.elu(x, 1 / x.shape[0]), torch.randn(n, 5)) for n in (8, 6)))
    with pytest.raises(Unsupported, match=r"alpha of aten\.elu\.default differs between workloads"):
        recognise(graph)
