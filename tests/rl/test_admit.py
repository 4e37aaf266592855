"""Admission: names, what a certificate holds, and that a better kernel is not replaced by a worse one."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from rl_doubles import evaluation

from kopt.errors import UsageError
from kopt.kernels import load
from kopt.kernels.library import find
from kopt.rl.admit import admit_winner, choose_name
from kopt.words import Candidate, Language, Problem, Style, TensorSpec, Workload, WorkloadSpec, to_json

PROBLEM = Problem(
    name="Twice-It", format="kopt", sources={"p.py": "def reference(x): return x * 2\n"}, entry="p.py"
)
SPEC = WorkloadSpec(
    workload=Workload(name="small", index=0),
    arguments=(TensorSpec(name="x", shape=(3, 4), dtype="float32", strides=(4, 1)),),
    state=(),
    outputs=(TensorSpec(name="output", shape=(3, 4), dtype="float32", strides=(4, 1)),),
)


def doubling(extra=""):
    return Candidate(
        sources={"k.py": f"def run(x): return x + x{extra}\n"},
        language=Language.TORCH,
        entry="k.py::run",
        style=Style.RETURNING,
    )


def put(name, library, ratio, candidate=None, problem=PROBLEM, mutates=False):
    candidate = candidate or doubling()
    return admit_winner(
        name,
        problem=problem,
        candidate=candidate,
        evaluation=evaluation(candidate, ratio),
        specs=[SPEC],
        mutates_inputs=mutates,
        artifact=None,
        library=library,
        run="abc",
    )


def test_a_winner_is_admitted_with_its_evidence_and_runs(tmp_path):
    entry = put("twice", tmp_path, 2.0)
    certificate = find("twice", tmp_path).certificate
    assert certificate["evaluation"] == to_json(evaluation(doubling(), 2.0))
    assert certificate["problem"]["digest"] == PROBLEM.digest and certificate["run"] == "abc"
    assert (
        certificate["candidate"]["digest"] == doubling().digest and "sources" not in certificate["candidate"]
    )
    assert set(certificate["files"]) == {"candidate/k.py", "reference/p.py"} and entry.changed() == []
    f = load("twice", library=tmp_path)
    x = torch.rand(3, 4)
    assert torch.equal(f(x), x * 2) and f.last_reason is None
    assert torch.equal(f(x[:2]), x[:2] * 2) and "shape" in f.last_reason
    assert torch.equal(f.op(x), x * 2)
    put("changes", tmp_path, 2.0, mutates=True)
    assert load("changes", library=tmp_path).op is None


def test_the_better_kernel_of_a_problem_stays(tmp_path):
    put("twice", tmp_path, 2.0)
    slower = put("twice", tmp_path, 1.5, doubling(" * 1"))
    assert slower.certificate["candidate"]["digest"] == doubling().digest
    faster = put("twice", tmp_path, 2.5, doubling(" * 1"))
    assert faster.certificate["candidate"]["digest"] == doubling(" * 1").digest
    (faster.path / "candidate/k.py").write_text("changed")
    assert put("twice", tmp_path, 1.1).certificate["candidate"]["digest"] == doubling().digest


def test_names_are_chosen_before_anything_is_spent(tmp_path):
    other = dataclasses.replace(PROBLEM, sources={"p.py": "def reference(x): return x * 3\n"})
    assert choose_name(None, PROBLEM, tmp_path) == "twice_it"
    put("twice_it", tmp_path, 2.0)
    assert choose_name(None, PROBLEM, tmp_path) == choose_name("twice_it", PROBLEM, tmp_path) == "twice_it"
    assert choose_name(None, other, tmp_path) == f"twice_it_{other.digest[:8]}"
    with pytest.raises(UsageError, match="another problem"):
        choose_name("twice_it", other, tmp_path)
    with pytest.raises(UsageError, match="lower-case"):
        choose_name("No/Path", PROBLEM, tmp_path)
