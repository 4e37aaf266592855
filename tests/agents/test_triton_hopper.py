"""Products, convolutions and attention in Triton, compiled for a GPU that is not here: they have to fit it."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kopt.agents.offline import attention, contraction
from tests.agents.test_triton_attention import causal, same
from tests.agents.test_triton_products import gelu_of, r
from tests.agents.triton_cases import Case, compile_for_hopper

if importlib.util.find_spec("triton") is None:
    pytest.skip("triton is not installed", allow_module_level=True)

CASES = {
    "product": Case(gelu_of(nn.Linear(512, 256)).half(), [(r(n, 512).half(),) for n in (256, 3)]),
    "convolution": Case(gelu_of(nn.Conv2d(16, 64, 3, padding=1)), [(r(2, 16, 24, 24),)]),
    "causal": Case(causal, [same(1, 2, 256, 128, dtype=torch.float16)]),
    "float32": Case(F.scaled_dot_product_attention, [same(1, 2, n, 128) for n in (64, 9)]),
}


def test_kernels_fit_a_hopper(trace_json: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """More shared memory or registers than there are would be an error of the build."""
    candidates = {
        name: case.candidate(
            (attention if name in ("causal", "float32") else contraction).recognise, trace_json
        )
        for name, case in CASES.items()
    }
    told = compile_for_hopper(CASES, candidates, tmp_path_factory.mktemp("compiled") / "cases")
    for name, report in told.items():
        assert report["error"] is None, report
        (kernel,) = report["kernels"]
        assert kernel["spill_store_bytes"] <= 32, f"{name}: a few registers' worth at most"
    three_stages = 3 * 2 * (128 + 128) * 64
    assert told["product"]["kernels"][0]["shared_bytes"] >= three_stages, (
        "loads of later blocks are in flight"
    )
