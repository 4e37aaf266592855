"""Problems that cannot be judged: one line each, with the next step."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kopt.errors import ProblemError
from kopt.verifiers import Effort, Evaluator
from kopt.words import Candidate, Language, Style, Verdict

MODEL = """
import torch
import torch.nn as nn
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(64))
        self.drop = nn.Dropout(0.5)
    def forward(self, x, *more):
        return FORWARD
def get_inputs():
    return [torch.randn(32, 64)]
def get_init_inputs():
    return []
"""


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        ("self.drop(x)", "dropout"),
        ("x + torch.rand_like(x)", "differs between two calls"),
        ("(x - x) / (x - x)", "NaN"),
        ("x.tolist()", "not a tensor"),
        ("x @ x", "mat1 and mat2"),
        ("x.to(torch.complex64)", "complex"),
    ],
)
def test_unusable_references(open_evaluator: Callable[[str], Evaluator], forward: str, words: str) -> None:
    with pytest.raises(ProblemError, match=words) as caught:
        assert open_evaluator(MODEL.replace("FORWARD", forward)).timed[0].cases
    assert "\n" not in str(caught.value)


def test_parameters_reach_candidates_and_other_parameters_are_tried(
    open_evaluator: Callable[[str], Evaluator],
) -> None:
    evaluator = open_evaluator(MODEL.replace("FORWARD", "x * self.weight"))
    assert [s.name for s in evaluator.specs[0].state] == ["weight"]
    assert len(evaluator.untimed) == 1

    def judge(text: str, symbol: str = "run") -> Verdict:
        candidate = Candidate(
            sources={"k.py": text}, language=Language.TORCH, entry=f"k.py::{symbol}", style=Style.RETURNING
        )
        return evaluator.evaluate(candidate, effort=Effort.QUICK).verdict

    assert judge("def run(x, weight):\n    return x * weight\n") is Verdict.CORRECT
    remembered = """
import torch
def run(x, weight):
    torch.manual_seed(SEED)
    return x * torch.randn(64)
"""
    assert judge(remembered.replace("SEED", str(evaluator.seed))) is Verdict.WRONG
    module = MODEL.replace("FORWARD", "x * self.weight").replace("class Model(", "class ModelNew(")
    assert judge(module, "ModelNew") is Verdict.CORRECT


def test_references_that_change_their_inputs_are_judged(open_evaluator: Callable[[str], Evaluator]) -> None:
    evaluator = open_evaluator(MODEL.replace("FORWARD", "x.mul_(2)"))
    assert evaluator.timed[0].cases.mutates_inputs
    candidate = Candidate(
        sources={"k.py": "def run(x):\n    return x * 2\n"},
        language=Language.TORCH,
        entry="k.py::run",
        style=Style.RETURNING,
    )
    found = evaluator.evaluate(candidate, effort=Effort.QUICK)
    assert found.verdict is Verdict.CORRECT, found.reason
