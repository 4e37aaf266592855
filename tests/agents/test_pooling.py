"""Pooling kernels, compiled for real: geometry, divisors, NaN and infinities, what is fused behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from kopt.agents.offline.graph import Unsupported
from kopt.agents.offline.pooling import recognise
from tests.agents.against_truth import check

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


@pytest.mark.parametrize("name", CASES)
def test_matches_torch(name: str, graph_of: Any, compiled: Any, call: Any) -> None:
    torch.manual_seed(0)
    model, shape = CASES[name]
    x = torch.randn(shape)
    x.view(-1)[5] = float("nan")
    x[0, 1] = float("-inf")
    check(recognise, model, (x,), (graph_of, compiled, call))


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


def test_says_why_not(graph_of: Any) -> None:
    with pytest.raises(Unsupported, match="contiguous"):
        recognise(graph_of(nn.MaxPool2d(2), torch.randn(2, 8, 8, 3).permute(0, 3, 1, 2)))
    with pytest.raises(Unsupported, match="unequal"):
        recognise(graph_of(nn.AdaptiveAvgPool2d(5), torch.randn(2, 3, 12, 12)))
