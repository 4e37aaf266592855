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
from kopt.agents.offline.reading import parse
from kopt.words import Candidate

if importlib.util.find_spec("triton") is None:
    pytest.skip("triton is not installed", allow_module_level=True)

from triton_runs import compiled_for_hopper, interpreted

Model = Callable[..., Any]
Shapes = Sequence[tuple[int, ...]]

# model, shapes of its inputs (CLASSES: a class per row), and whether reductions are shared out to several programs
CLASSES = (-1,)
MODELS: dict[str, tuple[Model, Shapes, bool]] = {
    "sigmoid": (torch.sigmoid, [(13, 35)], False),
    "mish": (F.mish, [(13, 35)], False),
    "rounding": (
        lambda x: torch.round(3 * x) + torch.trunc(x) + torch.sinh(x) + torch.cosh(x),
        [(9, 5)],
        False,
    ),
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
        [(11, 30), (11, 30)],
        False,
    ),
    "cross_entropy": (F.cross_entropy, [(11, 30), CLASSES], False),
    "triplet": (F.triplet_margin_loss, [(11, 30)] * 3, False),
    "cosine": (lambda x, y: F.cosine_similarity(x, y, dim=1).mean(), [(11, 30)] * 2, False),
    "two_reductions": (lambda x: (x.sum(0), x.sum(1)), [(30, 41)], False),
    "scaled_to_unit": (lambda x: (x - x.min()) / (x.max() - x.min()), [(31, 23)], True),
}


def _inputs(shapes: Shapes, rows: Callable[[int], int] = lambda n: n) -> list[torch.Tensor]:
    made: list[torch.Tensor] = []
    for shape in shapes:
        if shape == CLASSES:
            made.append(torch.randint(0, made[0].shape[1], (made[0].shape[0],)))
        else:
            made.append(torch.randn(rows(shape[0]), *shape[1:]))
    return made


def _smaller(n: int) -> int:
    return n // 2 + 3


def _candidate(name: str, trace_json: Any, *traced: Callable[[int], int]) -> Candidate:
    model, shapes, shared = MODELS[name]
    with pytest.MonkeyPatch.context() as patch:
        if shared:  # at sizes that the interpreter walks in no time
            patch.setattr(loops, "WORTH_SHARING", 256)
            patch.setattr(loops, "PROGRAMS", 4)
            patch.setattr(loops, "PIECE", 256)
        plan = recognise(parse(*(trace_json(model, *_inputs(shapes, rows)) for rows in traced)))
        assert plan is not None
        candidate = next(c for c in plan.candidates() if c.language == "triton")
    assert ("CHUNKS" in candidate.sources["kernel.py"]) == shared
    return candidate


def _call(model: Model, inputs: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The reference's results, and the arguments of a kernel for it."""
    result = model(*inputs)
    wanted = list(result) if isinstance(result, tuple) else [result]
    return wanted, [*inputs, *(torch.full_like(w, float("nan")) for w in wanted)]


def test_right_under_the_interpreter(tmp_path: Path, trace_json: Any) -> None:
    """Each kernel made for one shape at that shape, and one for rows that vary at three, one of them new to it."""
    torch.manual_seed(0)
    candidates, calls, wanted = {}, {}, {}
    for name, (model, shapes, _) in MODELS.items():
        ways = {"fixed": [int], "varying": [int, _smaller, lambda n: n + 5]}
        for way, traced in ways.items():
            key = f"{name}_{way}"
            candidates[key] = _candidate(name, trace_json, *traced)
            called = traced if way == "fixed" else [int, _smaller, lambda n: n + 17]
            pairs = [_call(model, _inputs(shapes, rows)) for rows in called]
            wanted[key], calls[key] = [p[0] for p in pairs], [p[1] for p in pairs]
    for key, done in interpreted(tmp_path, candidates, calls).items():
        for results, arguments in zip(wanted[key], done, strict=True):
            got = arguments[-len(results) :]
            for a, b in zip(got, results, strict=True):
                torch.testing.assert_close(
                    a, b, rtol=2e-5, atol=2e-5, msg=lambda text, key=key: f"{key}: {text}"
                )


def test_compiles_for_a_gpu(tmp_path: Path, trace_json: Any) -> None:
    """With sizes as literals and as parameters; every kernel of a candidate that has several."""
    names = [
        "mish",
        "rms_by_hand",
        "softmax_of_few_rows",
        "softmax_of_few_columns",
        "cross_entropy",
        "rounding",
    ]
    candidates = {n: _candidate(n, trace_json, int, _smaller) for n in names}
    candidates["softmax"] = _candidate("softmax", trace_json, int)
    calls = {n: [_call(MODELS[n][0], _inputs(MODELS[n][1]))[1]] for n in candidates}
    made = compiled_for_hopper(tmp_path, candidates, calls)
    assert {n: len(m) for n, m in made.items()} == {
        "mish": 1, "rms_by_hand": 1, "softmax_of_few_rows": 3, "softmax_of_few_columns": 3, "cross_entropy": 2,
        "rounding": 1, "softmax": 1,
    }  # fmt: skip
    assert all(ptx and shared <= 227 << 10 for found in made.values() for shared, ptx in found)


def test_double_precision_is_refused_with_the_reason(graph_of: Any) -> None:
    plan = recognise(graph_of(torch.sigmoid, torch.randn(3, 5, dtype=torch.float64)))
    assert plan is not None
    with pytest.raises(Unsupported, match=r"no Triton kernel: .* single precision and below"):
        list(plan.candidates())
