"""Attention in Triton, interpreted: masks, ragged sizes, rows without a key, sizes that were not traced."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from kopt.agents.offline.attention import recognise
from kopt.agents.offline.graph import Unsupported
from tests.agents.test_attention import CASES as SPELLED
from tests.agents.test_attention import QKV, r
from tests.agents.triton_cases import Case, generated, interpret

if importlib.util.find_spec("triton") is None:
    pytest.skip("triton is not installed", allow_module_level=True)


def causal(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(x, y, z, is_causal=True)


def same(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    return tuple(r(*shape).to(dtype) for _ in range(3))


def blind() -> torch.Tensor:
    """A mask that lets one row see nothing, and another nothing before the last key."""
    seen = torch.rand(70, 90) > 0.3
    seen[5] = seen[6] = False
    seen[6, 89] = True
    return seen


CASES = {
    **{name: Case(model, [inputs]) for name, (model, inputs) in SPELLED.items()},
    "rows_without_any_key": Case(F.scaled_dot_product_attention, [(*QKV, blind())]),
    "small_blocks": Case(causal, [same(1, 2, 70, 32)], tunables={"QUERIES": 16, "KEYS": 16}),
    "half": Case(causal, [same(1, 2, 70, 64, dtype=torch.float16)]),
    "bfloat16": Case(F.scaled_dot_product_attention, [same(1, 2, 70, 64, dtype=torch.bfloat16)]),
    "tokens_vary": Case(
        causal, [same(2, 3, 40, 24), same(1, 4, 9, 24)], [same(1, 2, 1, 24), same(2, 1, 131, 24)]
    ),
    "widths_vary": Case(
        lambda x, y, z: F.scaled_dot_product_attention(x, y, z, scale=0.2),
        [same(1, 2, 9, 24), same(1, 3, 20, 16)],
        [same(1, 2, 33, 40)],
    ),
}


@pytest.fixture(scope="module")
def wrong(trace_json: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return interpret(CASES, generated(CASES, recognise, trace_json), tmp_path_factory.mktemp("interpreted"))


@pytest.mark.parametrize("name", CASES)
def test_right_under_the_interpreter(name: str, wrong: dict[str, str]) -> None:
    assert name not in wrong, wrong[name]


def test_says_why_there_is_no_triton_kernel(graph_of: Any) -> None:
    plan = recognise(graph_of(F.scaled_dot_product_attention, *same(1, 1, 8, 320)))
    assert plan is not None
    made = iter(plan.candidates())
    assert next(made).language == "cpp"
    with pytest.raises(Unsupported, match="no Triton kernel: a head of width 320"):
        next(made)
