"""Scans in Triton: both axes and directions, rows cut into parts, sizes that were not traced; they compile too."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from kopt.agents.offline.graph import Unsupported
from kopt.agents.offline.scan import recognise
from tests.agents.triton_cases import Case, compile_for_hopper, generated, interpret

if importlib.util.find_spec("triton") is None:
    pytest.skip("triton is not installed", allow_module_level=True)


def some(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    """An input with infinities, and a NaN."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))
    x.view(-1)[[5, 9]] = torch.tensor([float("inf"), float("-inf")])
    x.view(-1)[x.numel() // 2] = float("nan")
    return (x.to(dtype),)


WIDE = torch.rand(2, 100_003, generator=torch.Generator().manual_seed(0))
"""Long enough that running values in float32 would lose digits."""


def mask() -> torch.Tensor:
    return torch.rand(8, 1500, generator=torch.Generator().manual_seed(1)) > 0.5


CASES = {  # rows longer than 1024 elements, and columns longer than a tile, are cut into parts
    "inner": Case(lambda x: torch.cumsum(x, 1), [some(37, 61)]),
    "inner_many_rows": Case(lambda x: torch.cumsum(x, 1), [some(700, 5)]),
    "inner_cut": Case(lambda x: torch.cumsum(x, 1), [some(3, 2500)]),
    "inner_backward": Case(lambda x: torch.cumsum(x.flip(1), 1).flip(1), [some(3, 2500)]),
    "outer": Case(lambda x: torch.cumsum(x, 0), [some(61, 37)]),
    "middle": Case(lambda x: torch.cumsum(x, 1), [some(3, 50, 7, 11)]),
    "outer_backward": Case(lambda x: torch.cumsum(x.flip(0), 0).flip(0), [some(61, 37)]),
    "exclusive": Case(lambda x: torch.cumsum(x, 1) - x, [some(7, 61)]),
    "product": Case(lambda x: torch.cumprod(x * 0.01 + 1, -1), [some(3, 1500)]),
    "product_outer": Case(lambda x: torch.cumprod(x * 0.1 + 1, 0), [some(61, 37)]),
    "work_around": Case(lambda x: torch.relu(torch.cumsum(torch.exp(x) * 0.5, -1) + 1), [some(7, 61)]),
    "masked": Case(lambda x, y: torch.cumsum(x * y, 1), [(*some(8, 1500), mask())]),
    "factor_per_row": Case(lambda x, y: torch.cumsum(x, 1) * y, [(*some(8, 100), torch.rand(8, 1))]),
    "shift_per_column": Case(lambda x, y: torch.cumsum(x + y, 0), [(*some(80, 10), torch.rand(10))]),
    "half": Case(lambda x: torch.cumsum(x, 1), [some(3, 1500, dtype=torch.bfloat16)]),
    "long": Case(lambda x: torch.cumsum(x, 1), [(WIDE,)], tunables={"BLOCK": 4096}),
    "varying_inner": Case(
        lambda x: torch.cumsum(x, 1), [some(37, 61), some(5, 130)], [some(3, 37), some(1, 999), some(64, 9)]
    ),
    "varying_outer": Case(
        lambda x: torch.cumsum(x, 0), [some(37, 61), some(5, 130)], [some(37, 3), some(999, 2), some(9, 64)]
    ),
}
COMPILED = ("inner_backward", "varying_outer")


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
        assert [k["name"] for k in report["kernels"]] == ["sums_kernel", "scan_kernel"], name
        assert [k["spill_store_bytes"] for k in report["kernels"]] == [0, 0], name


def test_rows_are_cut_only_where_they_are_few(trace_json: Any) -> None:
    few, many, short = (
        Case(lambda x: torch.cumsum(x, 1), [some(*shape)]).candidate(recognise, trace_json)
        for shape in ((8, 4096), (2048, 4096), (8, 64))
    )
    assert "PROGRAMS" in few.sources["kernel.py"]
    for candidate in (many, short):
        assert candidate.sources["kernel.py"].count("@triton.jit") == 1


def test_says_why_not(graph_of: Any) -> None:
    plan = recognise(graph_of(lambda x: torch.cumsum(x, 0), torch.randn(5, 7).double()))
    assert plan is not None
    with pytest.raises(Unsupported, match=r"no Triton kernel: .*single precision"):
        list(plan.candidates())
