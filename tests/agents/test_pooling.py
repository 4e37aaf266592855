"""Pooling kernels, compiled for real: geometry, divisors, NaN and infinities, what is fused behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from kopt.agents.offline.graph import Unsupported
from kopt.agents.offline.pooling import recognise
from kopt.agents.offline.reading import parse
from tests.agents.against_truth import Called, check, half

CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "max_overlapping": (nn.MaxPool2d(3, 2, 1), (2, 3, 37, 41)),
    "max_stride_1": (nn.MaxPool2d(4, 1, 1), (2, 3, 37, 41)),
    "max_dilated_ceil": (nn.MaxPool2d(3, 3, 1, dilation=2, ceil_mode=True), (2, 3, 37, 41)),
    "max_narrow_rows": (nn.MaxPool2d((5, 2), (2, 4), (1, 0)), (2, 3, 17, 9)),
    "avg_padding_counts": (nn.AvgPool2d(3, 2, 1), (2, 3, 37, 41)),
    "avg_padding_does_not_count": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 3, 37, 41)),
    "avg_ceil": (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (2, 3, 36, 42)),
    "avg_divisor": (nn.AvgPool2d(4, divisor_override=5), (2, 3, 37, 41)),
    "avg_1d": (nn.AvgPool1d(8, 1, 4), (2, 3, 137)),
    "max_3d": (nn.MaxPool3d(3, 2, 1), (1, 2, 9, 11, 33)),
    "adaptive": (nn.AdaptiveAvgPool2d((6, 4)), (2, 3, 36, 48)),
    "adaptive_whole": (nn.AdaptiveAvgPool2d(1), (2, 3, 36, 48)),
}


HALF = ("max_overlapping", "avg_padding_does_not_count", "max_narrow_rows", "avg_1d")
"""Compiled for registers of half the width; all others for the machine's own."""


@pytest.mark.parametrize("name", CASES)
def test_matches_torch(name: str, graph_of: Any, compiled: Any, call: Any) -> None:
    torch.manual_seed(0)
    model, shape = CASES[name]
    x = torch.randn(shape)
    x.view(-1)[5] = float("nan")
    x[0, 1] = float("-inf")
    tunables = half() if name in HALF else {}
    check(recognise, model, (x,), (graph_of, compiled, call), **tunables)


def test_pointwise_work_is_fused_and_streamed(graph_of: Any, compiled: Any, call: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = nn.Parameter(torch.randn(3, 1, 1))
            self.pool = nn.MaxPool2d(3, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(self.pool(x) + self.shift) * 2

    plan = check(recognise, Model(), (torch.randn(2, 3, 37, 41),), (graph_of, compiled, call), STREAM=1)
    assert "tanh" in plan.title


class Behind(nn.Module):
    """A pooling, a shift per channel, and the result flattened."""

    def __init__(self, pool: nn.Module, channels: int) -> None:
        super().__init__()
        self.pool, self.shift = pool, nn.Parameter(torch.randn(channels, *[1] * 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.pool(x) + self.shift)


VARYING: dict[str, tuple[Any, list[tuple[int, ...]], list[tuple[int, ...]]]] = {
    "max_2d": (  # all traces square, what is called with is not
        nn.MaxPool2d(3, 2, 1),
        [(2, 4, 40, 40), (1, 4, 64, 64), (1, 2, 9, 9)],
        [(3, 5, 57, 57), (1, 1, 31, 130), (2, 3, 33, 3), (1, 2, 1, 1), (70, 2, 34, 35)],
    ),
    "average_2d_hangs_over": (
        nn.AvgPool2d((3, 2), (2, 3), (1, 0), ceil_mode=True, count_include_pad=False),
        [(2, 4, 40, 41), (1, 4, 64, 66), (1, 2, 9, 11)],
        [(3, 4, 57, 58), (1, 2, 31, 130), (2, 3, 8, 2), (1, 2, 5, 7)],
    ),
    "average_1d": (
        nn.AvgPool1d(8, 1, 4),
        [(2, 4, 400), (1, 4, 70), (1, 2, 9)],
        [(3, 4, 57), (1, 2, 1031), (2, 3, 4)],
    ),
    "height_alone": (
        Behind(nn.MaxPool2d(2, 1), 3),
        [(2, 3, 40, 20), (1, 3, 19, 20)],
        [(3, 3, 57, 20), (1, 3, 2, 20)],
    ),
}


@pytest.mark.parametrize("name", VARYING)
def test_one_kernel_serves_sizes_it_was_not_traced_at(name: str, serves: Any) -> None:
    serves(recognise, *VARYING[name])


def test_a_window_that_grows_with_the_image_is_refused(trace_json: Any) -> None:
    def whole(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(x, x.shape[2:])

    for model in (Called(whole), nn.AdaptiveAvgPool2d(4)):
        graph = parse(*(trace_json(model, torch.randn(2, 3, n, n)) for n in (32, 16)))
        with pytest.raises(Unsupported, match=r"fixed window|windows"):
            recognise(graph)


def test_says_why_not(graph_of: Any) -> None:
    with pytest.raises(Unsupported, match="contiguous"):
        recognise(graph_of(nn.MaxPool2d(2), torch.randn(2, 8, 8, 3).permute(0, 3, 1, 2)))
    with pytest.raises(Unsupported, match="unequal"):
        recognise(graph_of(nn.AdaptiveAvgPool2d(5), torch.randn(2, 3, 12, 12)))
