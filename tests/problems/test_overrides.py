"""`--set`: constants change by rewriting, derived ones follow, lines stay."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from kopt.errors import ProblemError
from kopt.problems import load
from kopt.problems.inside import open_problem
from kopt.problems.overrides import apply_overrides, parse_value

TEXT = """\
import torch
import torch.nn as nn
batch_size = 8
rows, columns = 4, (
    16
)
total = rows * columns
name: str = "tanh"  # é: columns of the syntax tree count bytes
twice = again = 2

class Model(nn.Module):
    def forward(self, x):
        return getattr(torch, name)(x)

def get_inputs():
    return [torch.randn(batch_size, total)]
"""


def shape_of(tmp_path: Path, **overrides: str) -> tuple[int, ...]:
    path = tmp_path / "problem.py"
    path.write_text(TEXT)
    problem = load(path, overrides)
    inside = Path(
        tempfile.mkdtemp(dir=tmp_path)
    )  # its own: Python compares compiled files by second and size
    opened = open_problem(problem.format, problem.sources, problem.entry, inside)
    return opened.select(0, 0).spec().outputs[0].shape


def test_derived_constants_recompute(tmp_path: Path) -> None:
    assert shape_of(tmp_path) == (8, 64)
    assert shape_of(tmp_path, batch_size="3") == (3, 64)
    assert shape_of(tmp_path, columns="5") == (8, 20)
    assert shape_of(tmp_path, rows="2", columns="5") == (8, 10)


def test_a_derived_constant_can_be_set_itself(tmp_path: Path) -> None:
    assert shape_of(tmp_path, total="7") == (8, 7)


def test_lines_stay() -> None:
    changed = apply_overrides(TEXT, {"columns": "5"}, path="p.py", axes=False)
    assert changed.count("\n") == TEXT.count("\n")
    assert changed.splitlines()[6:] == TEXT.splitlines()[6:]


def test_text_values_and_chained_targets() -> None:
    changed = apply_overrides(TEXT, {"name": "sigmoid", "again": "(1, 2)"}, path="p.py", axes=False)
    assert "name: str = 'sigmoid'  # é" in changed
    assert "twice = again = (1, 2)" in changed


def test_unknown_name_tells_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match=r"did you mean 'batch_size'.*rows, columns, total"):
        shape_of(tmp_path, batch_sise="3")


def test_no_constants(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="no module-level constants"):
        apply_overrides("import torch\n", {"x": 1}, path="p.py", axes=False)


def test_override_that_breaks_a_declaration_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "f.py"
    path.write_text('axes = {"n": 4}\ninputs = {"x": {"shape": ["n"]}}\ndef reference(x):\n    return x\n')
    with pytest.raises(ProblemError, match=r"f.py:1: axis 'n' is -1"):
        load(path, {"n": "-1"})


def test_axis_is_fixed_in_every_workload(tmp_path: Path) -> None:
    path = tmp_path / "f.py"
    path.write_text(
        'axes = {"n": None, "m": 4}\nworkloads = {"a": {"n": 2}, "b": {"n": 3}}\nheld_out = {"c": {"n": 9}}\n'
        'inputs = {"x": {"shape": ["n", "m"]}}\ndef reference(x):\n    return x + 1\n'
    )
    problem = load(path, {"n": "5", "m": "6"})
    inside = Path(
        tempfile.mkdtemp(dir=tmp_path)
    )  # its own: Python compares compiled files by second and size
    opened = open_problem(problem.format, problem.sources, problem.entry, inside)
    assert [dict(w.axes) for w in opened.workloads()] == [{"n": 5, "m": 6}] * 3
    assert problem.overrides == {"n": 5, "m": 6}


@pytest.mark.parametrize(
    ("text", "value"),
    [("16", 16), ("-2.5", -2.5), ("True", True), ("(3, 3)", (3, 3)), ("relu", "relu"), ("", "")],
)
def test_values(text: str, value: object) -> None:
    assert parse_value(text) == value
