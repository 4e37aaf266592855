"""Pooling in Triton: geometry, divisors, NaN and infinities, sizes that were not traced; it compiles too."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kopt.agents.offline.pooling import recognise
from tests.agents.test_pooling import CASES as FIXED
from tests.agents.test_pooling import VARYING, Behind
from tests.agents.triton_cases import Case, compile_for_hopper, generated, interpret

if importlib.util.find_spec("triton") is None:
    pytest.skip("triton is not installed", allow_module_level=True)


def some(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    """An input with a plane of -infinity, and a NaN; only numbers where there are few."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))
    if x.numel() > 100:
        x.view(-1)[5] = float("nan")
        x[0, 1:2] = float("-inf")
    return (x.to(dtype),)


CASES = {
    **{name: Case(model, [some(*shape)]) for name, (model, shape) in FIXED.items()},
    **{
        f"varying_{name}": Case(model, [some(*s) for s in traced], [some(*s) for s in called[:2]])
        for name, (model, traced, called) in VARYING.items()
    },
    "max_large": Case(nn.MaxPool2d((12, 13), (12, 12), (3, 0)), [some(2, 3, 25, 40)]),
    "max_whole": Case(nn.MaxPool2d((24, 30), ceil_mode=True), [some(2, 3, 24, 30)]),
    "average_large_3d": Case(
        nn.AvgPool3d((3, 5, 16), (3, 5, 16), (0, 2, 0), count_include_pad=False), [some(2, 3, 6, 12, 16)]
    ),
    "average_large_overlaps": Case(nn.AvgPool2d(12, 1, 2), [some(1, 2, 20, 21)]),
    "half": Case(Behind(nn.AvgPool2d(3, 2, 1), 3).half(), [some(2, 3, 17, 19, dtype=torch.float16)]),
}
COMPILED = ("varying_average_2d_hangs_over", "max_large")


@pytest.fixture(scope="module")
def wrong(trace_json: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return interpret(
        CASES, generated(CASES, recognise, trace_json), tmp_path_factory.mktemp("interpreted") / "cases"
    )


@pytest.mark.parametrize("name", CASES)
def test_right_under_the_interpreter(name: str, wrong: dict[str, str]) -> None:
    assert name not in wrong, wrong[name]


def test_compiles_for_a_gpu(trace_json: Any, tmp_path: Path) -> None:
    cases = {name: CASES[name] for name in COMPILED}
    told = compile_for_hopper(cases, generated(cases, recognise, trace_json), tmp_path / "cases")
    for name, report in told.items():
        assert report["error"] is None, report
        assert [k["spill_store_bytes"] for k in report["kernels"]] == [0], name


def test_lanes_of_a_window_that_spans_the_image_do_not_divide(trace_json: Any) -> None:
    """Its elements are neighbours in memory."""
    candidate = Case(nn.AvgPool2d(30), [some(2, 3, 30, 30)]).candidate(recognise, trace_json)
    body = candidate.sources["kernel.py"].split("k = begin")[1].split("def run")[0]
    assert "//" not in body and "%" not in body
