"""Attention kernels, compiled for real: the fused operator and the same by hand, masks, layouts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from kopt.agents.offline.attention import recognise
from kopt.agents.offline.graph import Unsupported
from kopt.agents.offline.reading import parse
from tests.agents.against_truth import check


def r(*shape: int) -> torch.Tensor:
    return torch.randn(*shape)


def by_hand(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    scores = (x @ y.transpose(-2, -1) * 0.2).masked_fill(w == 0, float("-inf"))
    return (torch.softmax(scores, -1) @ z).transpose(1, 2).reshape(2, 70, 144)


def tokens_first(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    x, y, z = (t.transpose(1, 2) for t in (x, y, z))
    return F.scaled_dot_product_attention(x, y, z).transpose(1, 2)


QKV = (r(2, 3, 70, 32), r(2, 3, 90, 32), r(2, 3, 90, 48))
CASES: dict[str, tuple[Any, tuple[torch.Tensor, ...]]] = {
    "plain": (F.scaled_dot_product_attention, QKV),
    "causal": (
        lambda x, y, z: F.scaled_dot_product_attention(x, y, z, is_causal=True),
        (r(1, 2, 300, 64), r(1, 2, 300, 64), r(1, 2, 300, 64)),
    ),
    "truth_mask": (F.scaled_dot_product_attention, (*QKV, torch.rand(70, 90) > 0.3)),
    "added_mask": (F.scaled_dot_product_attention, (*QKV, r(2, 1, 70, 90))),
    "by_hand_masked": (by_hand, (*QKV, torch.ones(70, 90).tril())),
    "matrices": (lambda x, y, z: torch.softmax(x @ y.T / 8, -1) @ z, (r(70, 32), r(90, 32), r(90, 20))),
    "tokens_first": (tokens_first, (r(2, 90, 3, 32), r(2, 90, 3, 32), r(2, 90, 3, 32))),
}


@pytest.mark.parametrize("name", CASES)
def test_matches_torch(name: str, graph_of: Any, compiled: Any, call: Any) -> None:
    model, inputs = CASES[name]
    check(recognise, model, inputs, (graph_of, compiled, call))


def test_rows_without_any_key(graph_of: Any, compiled: Any, call: Any) -> None:
    seen = torch.rand(70, 90) > 0.3
    seen[5] = False
    check(recognise, F.scaled_dot_product_attention, (*QKV, seen), (graph_of, compiled, call))


def test_a_softmax_alone_is_not_attention(graph_of: Any) -> None:
    assert recognise(graph_of(lambda x: torch.softmax(x, -1), r(3, 4))) is None


def test_says_why_not(graph_of: Any) -> None:
    def shared_keys(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(x, y, z, enable_gqa=True)

    with pytest.raises(Unsupported, match="share keys"):
        recognise(graph_of(shared_keys, r(1, 4, 8, 16), r(1, 2, 8, 16), r(1, 2, 8, 16)))


def test_a_scale_that_varies_is_not_taken_from_one_trace(trace_json: Any) -> None:
    widths = ((r(1, 2, 8, width),) * 3 for width in (16, 24))
    traces = [trace_json(F.scaled_dot_product_attention, *inputs) for inputs in widths]
    with pytest.raises(Unsupported, match="scale varies"):
        recognise(parse(*traces))
