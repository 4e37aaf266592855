"""The lint in the real sandbox: strong problems are clean, each kind of weakness is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kopt.problems import load, suite_problems
from kopt.settings import Settings
from kopt.verifiers import Evaluator
from kopt.verifiers.lint import LintReport, lint

pytestmark = pytest.mark.needs("bubblewrap")
HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"


Report = Callable[..., LintReport]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, lend: Callable[..., Any]) -> Iterator[Report]:
    """Lint the problem in a file; one sandbox for all, and no baselines."""
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    with lend(settings) as sandbox:

        def lint_file(path: Path, **overrides: str) -> LintReport:
            problem = load(path, overrides)
            with Evaluator(problem, sandbox=sandbox, settings=settings) as evaluator:
                return lint(problem, evaluator)

        yield lint_file


@pytest.fixture
def linted(tmp_path: Path, report: Report) -> Report:
    """Lint a model: what it returns, its inputs and what its constructor does."""

    def lint_model(forward: str, inputs: str, setup: str = "pass") -> LintReport:
        path = tmp_path / "problem.py"
        path.write_text(
            f"{HEAD}\nclass Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            f"        {setup}\n    def forward(self, x):\n        return {forward}\n\n"
            f"def get_inputs():\n    return [{inputs}]\n"
        )
        return report(path)

    return lint_model


def passing(found: LintReport) -> set[str]:
    return {mutant.name.split(" (")[0] for mutant in found.passing}


STRONG = {
    "gelu": ("F.gelu(x)", "torch.randn(64, 256)", "pass"),
    "softmax": ("torch.softmax(x, -1)", "torch.randn(64, 256)", "pass"),
    "linear": ("self.l(x) * 2 + 1", "torch.randn(32, 64)", "self.l = nn.Linear(64, 48)"),
    "arg max": ("x.argmax(-1)", "torch.randn(512, 256)", "pass"),  # few rows seldom tie in float16
    "sum": ("x.sum()", "torch.randn(64, 256)", "pass"),
}


@pytest.mark.parametrize("name", STRONG)
def test_strong_problems_are_clean(linted: Report, name: str) -> None:
    found = linted(*STRONG[name])
    assert passing(found) == set()
    assert found.clean and len(found.mutants) >= 8
    assert all(m.why.startswith(("refuted by", "it fails")) for m in found.mutants)


def test_identity_on_positive_inputs(linted: Report) -> None:
    found = linted("torch.relu(x)", "torch.rand(64, 256) * 9")
    assert {"identity of x", "without relu"} <= passing(found)
    named = next(m for m in found.passing if m.name == "identity of x")
    assert "unchanged" in named.why and "torch.randn" in named.hint


def test_uniform_inputs_are_tried_outside_of_the_unit_interval(linted: Report) -> None:
    found = linted("torch.relu(x)", "torch.rand(64, 256)")
    assert passing(found) == set()


def test_output_that_does_not_depend_on_the_input(linted: Report) -> None:
    found = linted("(x - x.mean(1, keepdim=True)).abs() * 0 + 1", "torch.randn(64, 256)")
    assert {"ones", "mean", "constant", "cached"} <= passing(found)


def test_zeros(linted: Report) -> None:
    found = linted("torch.relu(-x - 1)", "torch.rand(64, 256) * 9")
    assert {"zeros", "partial rows", "constant"} <= passing(found)


def test_inputs_that_do_not_matter(linted: Report) -> None:
    found = linted("x[..., :200].cumsum(-1)", "torch.randn(64, 256)")
    assert "inputs cut along the last axis" in passing(found)


def test_operation_that_changes_nothing(linted: Report) -> None:
    found = linted("torch.tanh(x * 1.0)", "torch.randn(64, 256)")
    assert passing(found) == {"without mul"}


def test_lower_precision_passes_under_a_loose_tolerance(tmp_path: Path, report: Report) -> None:
    path = tmp_path / "loose.py"
    path.write_text(
        "import torch\naxes = {'n': 128}\ninputs = {'x': {'shape': ['n', 'n'], 'values': 'uniform'}}\n"
        "tolerance = {'rtol': 0.0, 'atol': 0.1}\ndef reference(x):\n    return torch.softmax(x, -1)\n"
    )
    found = passing(report(path))
    assert {"zeros", "mean", "computed in float16", "computed in bfloat16", "constant"} <= found


def test_parameters_that_a_constructor_leaves_at_ones_and_zeros_can_be_told(linted: Report) -> None:
    found = linted("self.n(x)", "torch.randn(64, 256)", "self.n = nn.LayerNorm(256)")
    assert passing(found) == set()
    assert not any("n.weight" in note or "n.bias" in note for note in found.notes)
    tried = {m.name for m in found.mutants}
    assert any("n.weight" in name for name in tried) and any("n.bias" in name for name in tried), tried


def test_parameters_that_cannot_be_told_are_noted(tmp_path: Path, report: Report) -> None:
    path = tmp_path / "declared.py"
    path.write_text(
        "axes = {'n': 128}\ninputs = {'x': {'shape': ['n', 'n']}}\n"
        "state = {'w': {'shape': ['n'], 'values': {'kind': 'constant', 'value': 1}}, "
        "'b': {'shape': ['n'], 'values': 'constant'}}\n"
        "def reference(x, w, b):\n    return x * w + b\n"
    )
    found = report(path)
    assert any("b is all zeros" in note for note in found.notes)
    assert any("w is all ones" in note for note in found.notes)


def test_several_outputs_are_each_tried(linted: Report) -> None:
    found = linted("(torch.tanh(x), torch.relu(-x))", "torch.rand(64, 256) * 9")
    assert "zeros as output1" in passing(found) and "zeros as output0" not in passing(found)


def test_a_shipped_problem_is_clean(report: Report) -> None:
    found = report(suite_problems()["rms_norm"], hidden="128", tokens="64")
    assert found.clean, found
    assert any(m.name.startswith("without add") for m in found.mutants)  # epsilon
