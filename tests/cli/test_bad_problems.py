"""Problems that cannot be judged: one line that names the file, status 2, nothing left running."""

from __future__ import annotations

import json

import pytest
from cli_harness import CPP, MODEL, kopt, one_line

pytestmark = [pytest.mark.needs("bubblewrap"), pytest.mark.slow]

BAD = {
    "raises": (
        MODEL.replace("return torch.relu(x) * 2.0 + 1.0", "raise ValueError('no luck')"),
        ["toy.py:7", "ValueError: no luck"],
    ),
    "raises on import": ("import nonexistent_module\n" + MODEL, ["toy.py:1", "nonexistent_module"]),
    "not deterministic": (
        MODEL.replace("* 2.0 + 1.0", "+ torch.rand(64, 64)"),
        ["toy.py", "differs between two calls"],
    ),
    "not a tensor": (MODEL.replace("torch.relu(x) * 2.0 + 1.0", "'text'"), ["toy.py", "not a tensor"]),
    "NaN": (MODEL.replace("torch.relu(x) * 2.0 + 1.0", "torch.log(x)"), ["NaN"]),
    "no forward": (MODEL.replace("def forward", "def backward"), ["toy.py:5", "forward"]),
    "syntax": (MODEL.replace("def forward(self, x):", "def forward(self, x)"), ["toy.py:6"]),
}


@pytest.mark.parametrize("kind", BAD)
def test_one_line_and_status_2(kind, problem):
    text, needles = BAD[kind]
    problem.write_text(text)
    (problem.parent / "k.cpp").write_text(CPP)
    done = kopt("evaluate", problem, problem.parent / "k.cpp")
    assert done.returncode == 2 and done.stdout == ""
    line = one_line(done.stderr)
    for needle in needles:
        assert needle.lower() in line.lower(), line


@pytest.mark.parametrize("kind", ["raises", "not deterministic", "NaN"])
def test_optimize_and_lint_say_the_same_and_keep_no_run(kind, problem):
    text, needles = BAD[kind]
    problem.write_text(text)
    for command in ("lint", "lint", "optimize"):  # the second time as well: nothing of it is kept
        done = kopt(command, problem, "--json")
        assert done.returncode == 2, done.stdout
        error = json.loads(done.stdout)["error"]
        assert all(needle.lower() in error.lower() for needle in needles), error
    assert json.loads(kopt("runs", "list", "--json").stdout)["runs"] == []


def test_a_sound_problem_is_called_so(problem):
    done = kopt("lint", problem)
    assert done.returncode == 0 and "sound" in done.stdout, done.stdout


def test_a_weak_problem_is_refused_unless_allowed(problem):
    problem.write_text(MODEL.replace("torch.relu(x) * 2.0 + 1.0", "torch.zeros_like(x)"))
    lint = kopt("lint", problem, "--json")
    assert lint.returncode == 1 and "zeros" in json.loads(lint.stdout)["passing"]
    refused = kopt("optimize", problem, "--budget-seconds", "30")
    assert refused.returncode == 2
    assert "--allow-weak" in refused.stderr.strip().splitlines()[-1]
    allowed = kopt("optimize", problem, "--allow-weak", "--budget-evaluations", "1", "--json", timeout=400)
    assert allowed.returncode in (0, 1), allowed.stderr
    assert any("proves little" in note for note in json.loads(allowed.stdout)["notes"])


def test_unknown_constants_are_refused(problem):
    done = kopt("lint", problem, "--set", "nonexistent=3")
    assert done.returncode == 2 and "nonexistent" in one_line(done.stderr)
