"""Triton kernels of fused loops: right under the interpreter, at sizes nobody traced too, and compiled for a GPU."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from kopt.agents.offline.fused import recognise
from kopt.agents.offline.gpu import loops
from kopt.agents.offline.graph import Unsupported
from kopt.words import Candidate
from tests.agents.triton_cases import Case, compile_for_hopper, interpret

if importlib.util.find_spec("triton") is None:
    pytest.skip("triton is not installed", allow_module_level=True)


class Named(torch.nn.Module):
    """Parameters named like what the kernel itself names."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("k", "task", "inside", "begin"):
            setattr(self, name, torch.nn.Parameter(torch.randn(35)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.softmax(x * self.k + self.task, -1) * self.inside + self.begin


CLASSES = (-1,)
Shapes = Sequence[tuple[int, ...]]
# model, shapes of its inputs (CLASSES: a class per row), and whether reductions are shared out to several programs
MODELS: dict[str, tuple[Callable[..., Any], Shapes, bool]] = {
    "sigmoid": (torch.sigmoid, [(13, 35)], False),
    "mish": (F.mish, [(13, 35)], False),
    "rounding": (lambda x: torch.round(3 * x) + torch.trunc(x) + torch.sinh(x), [(9, 5)], False),
    "softmax": (lambda x: F.softmax(x, -1), [(13, 35)], False),
    "softmax_outer": (lambda x: F.softmax(x, 0), [(13, 35)], False),
    "softmax_of_few_rows": (lambda x: F.softmax(x, -1), [(2, 1100)], True),
    "softmax_of_few_columns": (lambda x: F.softmax(x, 0), [(90, 5)], True),
    "layer_norm": (lambda x: F.layer_norm(x, (35,)), [(13, 35)], False),
    "rms_by_hand": (lambda x: x / torch.sqrt((x**2).mean(0, keepdim=True) + 1e-5), [(13, 35)], False),
    "batch_norm": (lambda x: F.batch_norm(x, None, None, training=True), [(6, 2, 8, 8)], True),
    "group_norm": (lambda x: F.group_norm(x, 2), [(3, 4, 5, 5)], False),
    "max": (lambda x: x.amax(-1), [(13, 35)], False),
    "variance": (lambda x: x.var(), [(31, 23)], True),
    "mse": (F.mse_loss, [(31, 23)] * 2, True),
    "kl": (
        lambda x, y: F.kl_div(F.log_softmax(x, -1), F.softmax(y, -1), reduction="batchmean"),
        [(11, 30)] * 2,
        False,
    ),
    "cross_entropy": (F.cross_entropy, [(11, 30), CLASSES], False),
    "triplet": (F.triplet_margin_loss, [(11, 30)] * 3, False),
    "cosine": (lambda x, y: F.cosine_similarity(x, y, dim=1).mean(), [(11, 30)] * 2, False),
    "names": (Named(), [(13, 35)], False),
    "two_reductions": (lambda x: (x.sum(0), x.sum(1)), [(30, 41)], False),
    "scaled_to_unit": (lambda x: (x - x.min()) / (x.max() - x.min()), [(31, 23)], True),
}
ONE: list[Callable[[int], int]] = [int]
SEVERAL: list[Callable[[int], int]] = [int, lambda n: n // 2 + 3, lambda n: n + 5]


def inputs(shapes: Shapes, rows: Callable[[int], int]) -> list[torch.Tensor]:
    made: list[torch.Tensor] = []
    for shape in shapes:
        if shape == CLASSES:
            made.append(torch.randint(0, made[0].shape[1], (made[0].shape[0],)))
        else:
            made.append(torch.randn(rows(shape[0]), *shape[1:]))
    return made


def cases(name: str) -> dict[str, Case]:
    """The kernel for one shape at that shape, and the one for rows that vary, at a number that is new to it too."""
    model, shapes, _ = MODELS[name]
    return {
        f"{name}_fixed": Case(model, [inputs(shapes, rows) for rows in ONE]),
        f"{name}_varying": Case(
            model, [inputs(shapes, rows) for rows in SEVERAL], [inputs(shapes, lambda n: n + 17)]
        ),
    }


def candidate_of(name: str, case: Case, trace_json: Any) -> Candidate:
    shared = MODELS[name][2]
    with pytest.MonkeyPatch.context() as patch:
        if shared:  # at sizes that the interpreter walks in no time
            patch.setattr(loops, "WORTH_SHARING", 256)
            patch.setattr(loops, "PROGRAMS", 4)
            patch.setattr(loops, "PIECE", 256)
        candidate = case.candidate(recognise, trace_json)
    assert ("CHUNKS" in candidate.sources["kernel.py"]) == shared
    return candidate


def test_right_under_the_interpreter(tmp_path: Path, trace_json: Any) -> None:
    torch.manual_seed(0)
    every = {name: cases(name) for name in MODELS}
    candidates = {
        key: candidate_of(name, case, trace_json) for name in MODELS for key, case in every[name].items()
    }
    all_cases = {key: case for held in every.values() for key, case in held.items()}
    assert interpret(all_cases, candidates, tmp_path) == {}


def test_compiles_for_a_gpu(tmp_path: Path, trace_json: Any) -> None:
    """With sizes as literals and as parameters; every kernel of a candidate that has several."""
    kernels = {"mish": 1, "rms_by_hand": 1, "softmax_of_few_rows": 3, "softmax_of_few_columns": 3,
               "cross_entropy": 2, "rounding": 1}  # fmt: skip
    held = {f"{name}_varying": cases(name)[f"{name}_varying"] for name in kernels}
    held["softmax_fixed"] = cases("softmax")["softmax_fixed"]
    candidates = {key: candidate_of(key.rpartition("_")[0], case, trace_json) for key, case in held.items()}
    told = compile_for_hopper(held, candidates, tmp_path / "cases")
    assert {key: report["error"] for key, report in told.items()} == dict.fromkeys(held)
    made = {key: len(report["kernels"]) for key, report in told.items()}
    assert made == {**{f"{name}_varying": count for name, count in kernels.items()}, "softmax_fixed": 1}
    assert all(k["spill_store_bytes"] == 0 for report in told.values() for k in report["kernels"])


def test_double_precision_is_refused_with_the_reason(graph_of: Any) -> None:
    plan = recognise(graph_of(torch.sigmoid, torch.randn(3, 5, dtype=torch.float64)))
    assert plan is not None
    with pytest.raises(Unsupported, match=r"no Triton kernel: .* single precision and below"):
        list(plan.candidates())
