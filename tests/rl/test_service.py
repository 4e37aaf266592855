"""The service's parts that need no sandbox: budget, shown text, one-line answers, library search."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from rl_doubles import candidate, evaluation

from kopt.errors import UsageError
from kopt.kernels.library import admit
from kopt.kernels.machine import facts
from kopt.problems import load, suite_problems
from kopt.problems.declared import declaration_of
from kopt.problems.shown import shown_text
from kopt.rl.ledger import DEVICE_SECONDS, EVALUATIONS, BudgetExhausted
from kopt.rl.service import answers
from kopt.rl.service.budget import Budget
from kopt.rl.service.library import search
from kopt.rl.service.menu import Menu
from kopt.rl.service.requests import CandidateText, candidate_from, check_candidate
from kopt.rl.service.turn import turn
from kopt.words import Language, StageName, StageRecord, Style, Verdict


def test_what_waits_cannot_overspend_evaluations():
    budget = Budget(evaluations=3)
    first = budget.evaluations(2)
    with pytest.raises(BudgetExhausted, match="1 of 3 evaluations are left"):
        budget.evaluations(2)
    first.settle(**{EVALUATIONS: 1})
    assert budget.left() == {"evaluations": 2}
    assert budget.evaluations(math.inf).amounts[EVALUATIONS] == 2
    with pytest.raises(BudgetExhausted):
        budget.evaluations(1)
    assert budget.evaluations(0).amounts == {}


def test_seconds_are_those_of_work_and_promised_to_one_job_at_a_time():
    budget = Budget(seconds=10)
    running = budget.seconds()
    assert budget.evaluations(1) is not None, "others may wait meanwhile"
    running.settle(**{DEVICE_SECONDS: 12.5})
    assert budget.seconds_left == 0
    with pytest.raises(BudgetExhausted, match=r"0 of 10 seconds are left.*--budget-seconds"):
        budget.evaluations(0)
    with pytest.raises(BudgetExhausted):
        budget.seconds()
    assert Budget().left() == {} and Budget().seconds_left == math.inf


@pytest.mark.parametrize("name", sorted(suite_problems()))
def test_no_shipped_problem_shows_its_held_out_shapes(name: str):
    problem = load(suite_problems()[name])
    text = shown_text(problem)
    declared = declaration_of(problem.sources[problem.entry], problem.entry)
    assert declared.held_out and "held_out" not in text and "def reference" in text
    assert declaration_of(text, "shown.py").shapes == declared.shapes
    for shape in declared.held_out:
        assert f'"{shape}"' not in text


def test_lines_name_no_folder_and_no_distribution():
    told = "/root/.kopt/builds/x/kernel.cpp:3:5: error: no 'y' (see '/usr/include/math.h')"
    assert answers.line(told) == "kernel.cpp:3:5: error: no 'y' (see 'math.h')"
    assert answers.line("y[1] is 2 (odd, outliers inputs): mend") == "y[1] is 2: mend"
    assert answers.line("it changed its inputs (mixed inputs), which") == "it changed its inputs, which"
    assert answers.line("12 GB/s, a / b, 3/4") == "12 GB/s, a / b, 3/4"
    assert len(answers.line("x" * 10_000)) == answers.MOST_LINE
    assert answers.number(math.nan) == "nan" and answers.number(1.23456789) == 1.235


def test_what_is_raised_on_a_hidden_workload_is_not_told_where_a_declared_one_was_left_out():
    # Triton is not interpreted on large workloads: no case of theirs has to come before those of hidden ones.
    raised = "raises ValueError: 777 rows at k.py:3 (in its first call)"
    record = replace(
        evaluation(candidate("k"), None),
        verdict=Verdict.CRASHED,
        reason=raised,
        stages=(StageRecord(name=StageName.VERIFY, passed=False, seconds=1.0),),
        errors={"cases": [{"workload": "small"}], "not_verified": ["large"]},
    )
    assert "777" not in answers.evaluation(record, ["small", "large"])["reason"]
    known = replace(record, errors={"cases": [{"workload": "small"}], "not_verified": []})
    assert "777" in answers.evaluation(known, ["small", "large"])["reason"]


def test_candidates_begin_where_they_say():
    plain = candidate_from(CandidateText(files={"a.cpp": "TVM_FFI_DLL_EXPORT_TYPED_FUNC(go, f)", "b.h": ""}))
    assert (plain.entry, plain.language, plain.style) == ("a.cpp::go", Language.CPP, Style.DESTINATION)
    named = candidate_from(CandidateText(files={"a.py": "", "b.py": ""}, entry="b.py::f"))
    assert (named.entry, named.style, set(named.sources)) == ("b.py::f", Style.RETURNING, {"a.py", "b.py"})
    with pytest.raises(UsageError, match="entry"):
        check_candidate(CandidateText(files={"a.py": "", "b.py": ""}))
    with pytest.raises(UsageError, match="not Unicode"):
        check_candidate(CandidateText(files={"a.py": "\ud800"}))


def test_a_text_is_a_problem_like_a_file():
    name = "rms_norm"
    text = suite_problems()[name].read_text()
    given, shipped = (
        Menu().load(text.replace("\n", "\r\n"), {"hidden": 64}),
        Menu().load(name, {"hidden": 64}),
    )
    assert given.name == "problem" and list(given.sources.values()) == list(shipped.sources.values())
    assert "64" in given.sources["problem.py"]


def test_services_of_one_home_take_turns_and_the_dead_give_theirs_back(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from kopt.rl.service.turn import turn\n"
        "with turn(Path(sys.argv[1])): print('mine', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-P", "-c", code, str(tmp_path)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None and first.stdout.readline() == "mine\n"
    taken = threading.Event()

    def take() -> None:
        with turn(tmp_path):
            taken.set()

    waiting = threading.Thread(target=take, daemon=True)
    waiting.start()
    assert not taken.wait(0.5)
    first.kill()
    first.wait()
    assert taken.wait(10)
    waiting.join(10)


def _kernel(library, name: str, reference: str) -> None:
    speedup = {"ratio": 2.0, "low": 1.9, "high": 2.1, "pairs": 10}
    shape = {"kind": "tensor", "name": "x", "dtype": "float32", "shape": [4, 8], "strides": [8, 1]}
    certificate = {
        "problem": {"name": name, "digest": name},
        "candidate": {"language": "cpp", "digest": name},
        "specs": [{"arguments": [shape], "state": [], "workload": {"name": "w"}}],
        "machine": dict(facts()),
        "evaluation": {"speedup": {"eager": speedup, "compile": None}},
    }
    files = {"candidate/kernel.cpp": f"// {name}\n".encode(), "reference/p.py": reference.encode()}
    admit(name, certificate, files, library)


def test_the_library_is_searched_by_what_kernels_share_with_the_query(tmp_path):
    _kernel(tmp_path, "softmax", "torch.softmax(x, dim=-1)")
    _kernel(tmp_path, "rms_norm", "x * torch.rsqrt(x.pow(2).mean(-1) + eps) * weight")
    _kernel(tmp_path, "layer_norm", "torch.layer_norm(x, weight)")
    admit("broken", {"who": "somebody"}, {"candidate/k.py": b""}, tmp_path)
    found = search(
        "def reference(x): return x * torch.rsqrt(x.pow(2))", limit=2, sources=True, library=tmp_path
    )
    assert found[0]["kernel"] == "rms_norm" and len(found) <= 2
    assert found[0]["source"] == "// rms_norm\n" and found[0]["usable_here"] is True
    assert found[0]["speedup"] == {"eager": {"ratio": 2.0, "low": 1.9, "high": 2.1, "certain": "faster"}}
    assert found[0]["verified"] == [{"x": "float32[4, 8]"}] and str(tmp_path) not in json.dumps(found)
    assert search("nothing alike", limit=5, sources=False, library=tmp_path) == []
    everything = search("", limit=5, sources=False, library=tmp_path)
    assert {kernel["kernel"] for kernel in everything} == {"softmax", "rms_norm", "layer_norm"}
