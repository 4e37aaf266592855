"""Matrix products and convolutions, compiled for real: layouts, batches, edges, what is fused behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kopt.agents.offline.contraction import recognise, tile
from kopt.agents.offline.graph import Unsupported
from kopt.agents.offline.reading import parse
from tests.agents.against_truth import Called, check
from tests.agents.test_bits import packed


def r(*shape: int) -> torch.Tensor:
    return torch.randn(*shape)


class Behind(nn.Module):
    """A layer and what follows it."""

    def __init__(self, layer: nn.Module, function: Any, *parameters: torch.Tensor) -> None:
        super().__init__()
        self.layer, self.function = layer, function
        self.extra = nn.ParameterList(parameters)

    def forward(self, *args: torch.Tensor) -> Any:
        return self.function(self.layer(args[0]), *self.extra, *args[1:])


def heads(y: torch.Tensor) -> torch.Tensor:
    return y.view(4, 10, 3, 16).transpose(1, 2)


def unpacked(x: torch.Tensor, packed: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """A linear layer of 4-bit weights, eight in an int32, scaled in groups."""
    shifts = torch.arange(0, 32, 4, dtype=torch.int32)
    weight = ((packed[:, None] >> shifts[:, None]) & 15).reshape(scales.shape[0], -1, scales.shape[1]) - 8
    return x @ (weight * scales[:, None]).reshape(-1, scales.shape[1])


PRODUCTS: dict[str, tuple[Any, tuple[torch.Tensor, ...]]] = {
    "blocks_with_edges": (torch.matmul, (r(300, 700), r(700, 531))),
    "transposed": (lambda x, y: x.t() @ y.t(), (r(50, 37), r(45, 50))),
    "same_matrix_for_a_batch": (torch.matmul, (r(3, 4, 37, 50), r(50, 45))),
    "batched_broadcast": (torch.matmul, (r(3, 4, 37, 50), r(3, 1, 50, 45))),
    "scaled_scores": (lambda x, y: x @ y.transpose(-1, -2) / 8, (r(3, 37, 50), r(3, 45, 50))),
    "linear_chain": (
        Behind(nn.Linear(50, 64), lambda y, z: F.gelu(y * 0.5).clamp(-1, 1) + z),
        (r(37, 50), r(37, 64)),
    ),
    "heads": (Behind(nn.Linear(50, 48), heads), (r(4, 10, 50),)),
    "addmm": (lambda x, y, z: torch.addmm(z, x, y), (r(37, 50), r(50, 64), r(64))),
    "double": (nn.Linear(50, 45).double(), (r(37, 50).double(),)),
    "unpacked_weights": (unpacked, (r(37, 320), packed(40, 45), r(5, 45))),
    "unpacked_bfloat16": (unpacked, (r(37, 64).bfloat16(), packed(8, 45), r(4, 45).bfloat16())),
    "weights_in_bytes": (
        lambda x, w, s, b: torch.relu(F.linear(x, w.float() * s[:, None], b)),
        (r(2, 37, 300), packed(45, 300, dtype=torch.int8), r(45), r(45)),
    ),
    "computed_weights": (lambda x, w, s: x @ (torch.tanh(w) / s), (r(37, 50), r(50, 45), 1 + r(50, 1).abs())),
    "bfloat16": (nn.Linear(50, 45).bfloat16(), (r(37, 50).bfloat16(),)),
}

CONVOLUTIONS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "plain": (nn.Conv2d(8, 20, 3), (2, 8, 23, 29)),
    "strided_dilated": (
        nn.Conv2d(8, 20, 3, stride=(2, 3), padding=(0, 2), dilation=(2, 1)),
        (2, 8, 23, 29),
    ),
    "grouped": (nn.Conv2d(8, 20, 3, groups=2, bias=False), (2, 8, 23, 29)),
    "same": (nn.Conv2d(8, 20, 3, padding="same", dilation=2), (2, 8, 23, 29)),
    "pointwise": (nn.Conv2d(8, 20, 1), (2, 8, 23, 29)),
    "small_images": (nn.Conv2d(200, 70, 3, padding=1), (1, 200, 7, 7)),
    "one_dimension": (nn.Conv1d(8, 20, 5, padding=2, stride=2), (3, 8, 99)),
    "chain": (
        Behind(nn.Conv2d(8, 20, 3), lambda y, b: torch.tanh(F.softplus(y)) * y + b, r(20, 1, 1)),
        (2, 8, 23, 29),
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_match_torch(name: str, graph_of: Any, compiled: Any, call: Any) -> None:
    model, inputs = PRODUCTS[name]
    check(recognise, model, inputs, (graph_of, compiled, call))


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_match_torch(name: str, graph_of: Any, compiled: Any, call: Any) -> None:
    model, shape = CONVOLUTIONS[name]
    check(recognise, model, (r(*shape),), (graph_of, compiled, call))


VARYING: dict[str, tuple[Any, list[tuple[int, ...]], list[tuple[int, ...]]]] = {
    "convolution_2d": (  # all traces square, what is called with is not
        Behind(nn.Conv2d(8, 20, 3, stride=2, padding=1, groups=2), lambda y: torch.relu(y)),
        [(2, 8, 41, 41), (1, 8, 64, 64), (1, 8, 7, 7)],
        [(3, 8, 57, 30), (1, 8, 9, 130), (2, 8, 1, 1)],
    ),
    "convolution_1d": (
        nn.Conv1d(8, 20, 5, padding="same", dilation=2),
        [(2, 8, 100), (1, 8, 33)],
        [(3, 8, 257), (1, 8, 5)],
    ),
}


@pytest.mark.parametrize("name", VARYING)
def test_one_kernel_serves_sizes_it_was_not_traced_at(name: str, serves: Any) -> None:
    serves(recognise, *VARYING[name], rtol=1e-4, atol=1e-5)


def test_a_product_with_numbers_from_the_place_is_refused(graph_of: Any) -> None:
    with pytest.raises(Unsupported):
        recognise(graph_of(lambda x: torch.arange(50.0).reshape(2, 25) @ x, r(25, 30)))


def test_unpacked_weights_of_any_size(trace_json: Any, compiled: Any, call: Any) -> None:
    """Tokens, inputs and features vary; the group does not."""

    def inputs(tokens: int, groups: int, features: int) -> tuple[torch.Tensor, ...]:
        return r(tokens, 32 * groups), packed(4 * groups, features), r(groups, features)

    model = Called(unpacked)
    traced = [inputs(5, 3, 20), inputs(64, 10, 45), inputs(1, 7, 30)]
    plan = recognise(parse(*(trace_json(model, *one) for one in traced)))
    assert plan is not None
    entry = compiled(next(iter(plan.candidates())))
    for one in [*traced, inputs(33, 9, 70)]:
        (wanted,), (got,) = call(entry, model, one)
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-3)


def test_channels_and_filters_may_vary_too(trace_json: Any, compiled: Any, call: Any) -> None:
    """Where the weight is an argument: 12 filters of 6 channels were traced, others are called with."""
    model = Called(lambda x, w: F.conv2d(x, w, padding=1))
    traced = [(r(2, 6, 20, 30), r(12, 6, 3, 3)), (r(1, 4, 9, 8), r(8, 4, 3, 3))]
    plan = recognise(parse(*(trace_json(model, *inputs) for inputs in traced)))
    assert plan is not None
    entry = compiled(next(iter(plan.candidates())))
    for inputs in [*traced, (r(2, 70, 17, 40), r(33, 70, 3, 3))]:
        (wanted,), (got,) = call(entry, model, inputs)
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_other_tiles_and_depths(graph_of: Any, compiled: Any, call: Any) -> None:
    fixtures = (graph_of, compiled, call)
    check(recognise, torch.matmul, (r(100, 300), r(300, 200)), fixtures, MR=8, NV=3, KC=128, DOWN=4, ACROSS=4)
    check(recognise, nn.Conv2d(40, 20, 3), (r(2, 40, 23, 29),), fixtures, MR=6, NV=4, KC=128)


def test_nan_and_infinity_spread_as_in_torch(graph_of: Any, compiled: Any, call: Any) -> None:
    x = r(37, 50)
    x[3, 4], x[7, 1] = float("nan"), float("inf")
    check(recognise, torch.matmul, (x, r(50, 45)), (graph_of, compiled, call))


@pytest.mark.parametrize(
    ("model", "shape", "why"),
    [
        (nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)), (4, 8), "2 contractions"),
        (Behind(nn.Linear(8, 8), lambda y: y.softmax(-1)), (4, 8), "reduced"),
        (nn.Conv2d(8, 8, 3, groups=8), (1, 8, 9, 9), "per group"),
    ],
)
def test_says_why_not(model: Any, shape: tuple[int, ...], why: str, graph_of: Any) -> None:
    with pytest.raises(Unsupported, match=why):
        recognise(graph_of(model, r(*shape)))


def test_parameters_named_like_the_kernel_s_own_words(graph_of: Any, compiled: Any, call: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.W, self.pack, self.rows = (nn.Parameter(r(*s)) for s in ((50, 45), (45,), (45,)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x @ self.W + self.pack) * self.rows

    check(recognise, Model(), (r(37, 50),), (graph_of, compiled, call))


def test_a_smoke_shape_of_few_rows_makes_no_small_tile(trace_json: Any) -> None:
    model = Called(lambda x, y: x @ y)
    traced = [(r(rows, 64), r(64, 48)) for rows in (512, 3)]
    plan = recognise(parse(*(trace_json(model, *inputs) for inputs in traced)))
    assert plan is not None
    (height,) = [t for t in next(iter(plan.candidates())).tunables if t.name == "MR"]
    assert height.default == tile.balanced_rows(512) > 3
