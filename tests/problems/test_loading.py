"""The host's loader: formats told apart, nothing executed, every malformed file one error with its line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kopt.errors import ProblemError
from kopt.problems import load, suite_problems

MODEL = """\
import torch
import torch.nn as nn

class Model(nn.Module):
    def forward(self, x):
        return torch.relu(x)

def get_inputs():
    return [torch.randn(4, 8)]

def get_init_inputs():
    return []
"""

FUNCTION = """\
import torch
axes = {"tokens": None, "hidden": 64}
inputs = {"x": {"shape": ["tokens", "hidden"]}, "epsilon": 1e-6}
state = {"weight": {"shape": ["hidden"]}}
workloads = {"prefill": {"tokens": 32}}
tolerance = {"multiple": 4}

def reference(x, epsilon, weight):
    return x * weight + epsilon
"""


def write(folder: Path, text: str | bytes, name: str = "problem.py") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_model_format(tmp_path: Path) -> None:
    problem = load(write(tmp_path, MODEL, "19_ReLU.py"))
    assert (problem.name, problem.format, problem.entry) == ("19_ReLU", "model", "19_ReLU.py")
    assert problem.sources == {"19_ReLU.py": MODEL}


def test_function_format(tmp_path: Path) -> None:
    problem = load(write(tmp_path, FUNCTION))
    assert problem.format == "kopt"
    assert problem.tolerance.multiple == 4


def test_nothing_is_executed_and_torch_is_not_imported(tmp_path: Path) -> None:
    trap = write(tmp_path, MODEL + "\nopen('trap', 'w').write('x')\nraise SystemExit(3)\n")
    code = (
        "import sys; from kopt.problems import load; load(sys.argv[1]); "
        "assert 'torch' not in sys.modules and 'kopt.problems.inside' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(trap)], check=True, cwd=tmp_path)
    assert not (tmp_path / "trap").exists()


def test_carriage_returns_and_byte_order_marks(tmp_path: Path) -> None:
    problem = load(write(tmp_path, b"\xef\xbb\xbf" + MODEL.replace("\n", "\r\n").encode()))
    assert problem.sources["problem.py"] == MODEL


def test_identity_is_of_text_not_place(tmp_path: Path) -> None:
    one, other = write(tmp_path, MODEL, "a.py"), tmp_path / "b"
    other.mkdir()
    assert load(one).digest == load(write(other, MODEL, "a.py")).digest
    assert load(one).digest != load(write(other, MODEL.replace("relu", "tanh"), "a.py")).digest


def test_suite_loads() -> None:
    names = suite_problems()
    assert {"rms_norm", "softmax", "attention", "silu_and_mul", "cross_entropy"} <= set(names)
    for path in names.values():
        assert load(path).format == "kopt"


def bench_problems() -> list[Path]:
    return sorted((Path(__file__).parents[2] / "bench" / "problems").glob("*.py"))


def test_bench_loads() -> None:
    assert len(bench_problems()) >= 16
    assert {load(path).format for path in bench_problems()} == {"model"}


MALFORMED = {
    "empty": ("", 1, "empty"),
    "only spaces": ("\n\n  \n", 1, "empty"),
    "not UTF-8": (b"import torch\nname = '\xff\xfe'\n", 2, "UTF-8"),
    "null byte": (b"import torch\n\0\n", None, "null"),
    "syntax": (MODEL.replace("return torch.relu(x)", "return torch.relu(x"), None, "syntax error"),
    "indentation": ("import torch\n  x = 1\n", 2, "syntax error"),
    "no problem at all": ("x = 1\n", 1, "is no problem"),
    "inputs but no model": ("def get_inputs():\n    return []\n", 1, "no class Model"),
    "no forward": (MODEL.replace("forward", "foward"), 4, "no forward"),
    "forward without self": (MODEL.replace("self, x", ""), 5, "self"),
    "no base": (MODEL.replace("(nn.Module)", ""), 4, "torch.nn.Module"),
    "model is a function": (MODEL.replace("class Model(nn.Module)", "def Model()"), 4, "function"),
    "no get_inputs": (MODEL.replace("def get_inputs", "def get_input"), 4, "get_inputs"),
    "get_inputs wants arguments": (MODEL.replace("get_inputs()", "get_inputs(n)"), 8, "'n'"),
    "get_inputs returns nothing": (MODEL.replace("return [torch.randn(4, 8)]", "pass"), 8, "nothing"),
    "get_inputs is no function": (MODEL + "get_inputs = 3\n", 13, "function"),
    "get_init_inputs wants arguments": (MODEL.replace("init_inputs()", "init_inputs(n)"), 11, "'n'"),
    "reference missing": (FUNCTION.replace("def reference", "def refrence"), 3, "reference"),
    "reference is a class": (FUNCTION + "class reference: pass\n", 10, "plain function"),
    "inputs missing": (FUNCTION.replace("inputs =", "inpts ="), 1, "inputs"),
    "not literal": (FUNCTION.replace("64}", "len('x')}"), 2, "cannot read axes"),
    "unknown constant": (FUNCTION.replace("64}", "SIZE}"), 2, "'SIZE'"),
    "axis not positive": (FUNCTION.replace("64}", "0}"), 2, "positive integer"),
    "axes no dictionary": (FUNCTION.replace('{"tokens": None, "hidden": 64}', "[1]"), 2, "dictionary"),
    "unknown axis in a shape": (FUNCTION.replace('["hidden"]', '["hiden"]'), 4, "hiden"),
    "shape is no list": (FUNCTION.replace('["hidden"]', "7"), 4, "list"),
    "unknown key": (FUNCTION.replace('"shape": ["hidden"]', '"shape": ["hidden"], "typ": 1'), 4, "'typ'"),
    "unknown dtype": (
        FUNCTION.replace('["hidden"]}', '["hidden"], "dtype": "float"}'),
        4,
        "dtype 'float'",
    ),
    "unknown distribution": (
        FUNCTION.replace('["hidden"]}', '["hidden"], "values": "gauss"}'),
        4,
        "'gauss'",
    ),
    "unknown parameter": (
        FUNCTION.replace('["hidden"]}', '["hidden"], "values": {"kind": "normal", "sigma": 1}}'),
        4,
        "'sigma'",
    ),
    "state is a number": (FUNCTION.replace('{"shape": ["hidden"]}}', "3}"), 4, "not a tensor"),
    "workload without an axis": (FUNCTION.replace('{"tokens": 32}', "{}"), 5, "'tokens'"),
    "workload with an unknown axis": (FUNCTION.replace('{"tokens": 32}', '{"token": 32}'), 5, "'token'"),
    "tolerance key": (FUNCTION.replace("multiple", "factor"), 6, "'factor'"),
    "rtol alone": (FUNCTION.replace('"multiple": 4', '"rtol": 0.1'), 6, "together"),
    "undeclared parameter": (FUNCTION.replace("epsilon, weight)", "epsilon, weight, y)"), 8, "'y'"),
    "unused declaration": (FUNCTION.replace("(x, epsilon, weight)", "(x, weight)"), 8, "'epsilon'"),
    "star arguments": (FUNCTION.replace("(x, epsilon, weight)", "(*x)"), 8, "name each"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_file_is_one_error_with_its_line(tmp_path: Path, case: str) -> None:
    text, line, words = MALFORMED[case]
    path = write(tmp_path, text)
    with pytest.raises(ProblemError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert words in message
    assert message.startswith(f"{path}:{line}: " if line else f"{path}:")


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="no such file"):
        load(tmp_path / "nowhere.py")
    with pytest.raises(ProblemError, match="directory"):
        load(tmp_path)


def test_deep_nesting_is_refused_not_fatal(tmp_path: Path) -> None:
    with pytest.raises(ProblemError):
        load(write(tmp_path, "x = " + "(" * 100_000 + ")" * 100_000))
