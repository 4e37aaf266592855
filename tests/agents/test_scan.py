"""Scan kernels, compiled for real: both kinds of axes, both directions, work before and after."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kopt.agents.offline.graph import Unsupported
from kopt.agents.offline.reading import parse
from kopt.agents.offline.scan import recognise
from tests.agents.against_truth import Called, check, half

CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "inner": (lambda x: torch.cumsum(x, 1), (37, 61)),
    "outer": (lambda x: torch.cumsum(x, 0), (37, 61)),
    "middle": (lambda x: torch.cumsum(x, 1), (3, 50, 7, 11)),
    "inner_backward": (lambda x: torch.cumsum(x.flip(1), 1).flip(1), (37, 61)),
    "outer_backward": (lambda x: torch.cumsum(x.flip(0), 0).flip(0), (37, 61)),
    "exclusive": (lambda x: torch.cumsum(x, 1) - x, (37, 61)),
    "product": (lambda x: torch.cumprod(x * 0.1 + 1, -1), (7, 61)),
    "work_around": (lambda x: torch.relu(torch.cumsum(torch.exp(x) * 0.5, -1) + 1), (7, 61)),
}


TUNED = {
    "exclusive": {"UNROLL": 4},
    "inner_backward": {"UNROLL": 2, **half()},
    "outer_backward": half(),
    "work_around": half(),
}


@pytest.mark.parametrize("name", CASES)
def test_matches_torch(name: str, graph_of: Any, compiled: Any, call: Any) -> None:
    torch.manual_seed(0)
    function, shape = CASES[name]
    x = torch.randn(shape)
    x[1, 5], x[1, 9] = float("inf"), float("-inf")
    x[2, 1] = float("nan")
    check(recognise, function, (x,), (graph_of, compiled, call), **TUNED.get(name, {}))


@pytest.mark.parametrize("dim", [0, 1])
def test_sizes_that_vary(dim: int, trace_json: Any, compiled: Any, call: Any) -> None:
    model = Called(lambda x: torch.cumsum(x, dim))
    plan = recognise(parse(*(trace_json(model, torch.randn(a, b)) for a, b in ((37, 61), (5, 130)))))
    assert plan is not None
    entry = compiled(next(iter(plan.candidates())))
    for shape in ((3, 37), (64, 9)):
        (wanted,), (got,) = call(entry, model, (torch.randn(shape),))
        torch.testing.assert_close(got, wanted)


def test_masked(graph_of: Any, compiled: Any, call: Any) -> None:
    inputs = (torch.randn(8, 100), torch.rand(8, 100) > 0.5)
    check(recognise, lambda x, y: torch.cumsum(x * y, 1), inputs, (graph_of, compiled, call))


def test_long_rows_keep_their_precision(graph_of: Any, compiled: Any, call: Any) -> None:
    fixtures = graph_of, compiled, call
    check(recognise, lambda x: torch.cumsum(x, 1), (torch.rand(2, 100_003),), fixtures, UNROLL=4)


def test_says_why_not(graph_of: Any) -> None:
    with pytest.raises(Unsupported, match="int64"):
        recognise(graph_of(lambda x: torch.cumsum(x, 0), torch.arange(5)))
    assert recognise(graph_of(torch.sigmoid, torch.randn(5))) is None
