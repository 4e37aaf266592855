"""``kopt profile`` and ``kopt evaluate --profile``: text, JSON and exit statuses."""

from __future__ import annotations

import json

import pytest
from cli_harness import CPP, kopt, one_line

from kopt.settings import Arch

pytestmark = [pytest.mark.needs("bubblewrap", "objdump"), pytest.mark.slow]


def test_a_candidate_its_reference_and_what_is_not_right(problem):
    candidate = problem.parent / "k.cpp"
    candidate.write_text(CPP)
    done = kopt("profile", problem, candidate, "--set", "rows=2048", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"] == "correct" and len(document["candidate"]) == 64
    profile = document["profile"]
    assert profile["bottleneck"]["name"] and profile["bottleneck"]["evidence"]
    assert profile["loops"][0]["file"] == "k.cpp" and profile["seconds"] > 0
    listed = problem.parent / "k.s"
    text = kopt("profile", problem, candidate, "--set", "rows=2048", "--assembly", listed).stdout
    assert "k.cpp:" in listed.read_text() and "ret" in listed.read_text()
    for word in ("bottleneck: ", "hot loop k.cpp:", "aten::relu", "roofline", "when the kernel does nothing"):
        assert word in text, text
    done = kopt("profile", problem, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0 and document["candidate"] is None and "verdict" not in document
    assert {one["name"] for one in document["profile"]["operators"]} >= {"aten::relu"}
    candidate.write_text(CPP.replace("2.0f", "3.0f"))
    done = kopt("profile", problem, candidate, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 1 and document["profile"] is None and document["verdict"] == "wrong"


def test_unusable_input_is_one_line(problem):
    done = kopt("profile", problem, problem.parent / "missing.cpp")
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    done = kopt("profile", problem, "--assembly", problem.parent / "k.s")
    assert done.returncode == 2 and "a candidate's" in one_line(done.stderr)
    candidate = problem.parent / "k.cpp"
    candidate.write_text(CPP)
    done = kopt("profile", problem, candidate, "--assembly", problem.parent / "no" / "k.s")
    assert done.returncode == 2 and "give --assembly another file" in one_line(done.stderr)


def test_arch_is_for_gpu_kernels_and_one_of_a_list(problem):
    kernel, native = problem.parent / "k.cu", problem.parent / "k.cpp"
    kernel.write_text("__global__ void k(float* y) { y[threadIdx.x] = 1; }\nvoid run() {}\n")
    native.write_text(CPP)
    for command in ("profile", "evaluate"):
        done = kopt(command, problem, kernel, "--arch", "sm_33")
        assert done.returncode == 2 and "sm_90, sm_90a, sm_100" in one_line(done.stderr)
        done = kopt(command, problem, native, "--arch", "sm_80")
        assert done.returncode == 2 and "is for CUDA and Triton" in one_line(done.stderr)
        told = kopt(command, "--help").stdout
        assert all(arch in told for arch in Arch)
    done = kopt("evaluate", problem, kernel, env={"KOPT_ARCH": "volta"})
    assert done.returncode == 2 and one_line(done.stderr).startswith("kopt: KOPT_ARCH=volta: ")


@pytest.mark.needs("nvcc")
def test_a_kernel_is_profiled_for_the_architecture_asked_for(problem):
    kernel = problem.parent / "k.cu"
    kernel.write_text("__global__ void k(float* y) { y[threadIdx.x] = 1; }\n")
    done = kopt("profile", problem, kernel, "--arch", "sm_80", "--json")
    document = json.loads(done.stdout)
    assert "compiled for sm_80" in document["reason"]
    assert [one["target"] for one in document["profile"]["kernels"]] == ["sm_80"]


def test_evaluate_profiles_when_asked(problem):
    candidate = problem.parent / "k.cpp"
    candidate.write_text(CPP)
    document = json.loads(kopt("evaluate", problem, candidate, "--profile", "--json").stdout)
    if document["verdict"] != "correct":  # a loaded machine can make times disagree
        assert document["verdict"] == "tampered", document["reason"]
        return
    assert document["stages"][-1]["name"] == "profile" and document["profile"]["bottleneck"]["name"]
