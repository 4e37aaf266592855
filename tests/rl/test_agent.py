"""`--agent`: a coding agent's command line at work in its workspace; all is real but the agent, which is scripted."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "verifiers"))

import code_problem

from kopt.errors import UsageError
from kopt.rl.optimize import optimize, resume
from kopt.sandbox import places
from kopt.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.needs("bubblewrap")]

SCRIPT = Path(__file__).with_name("scripted_agent.py")
PROBLEM = """import torch

axes = {"n": None}
inputs = {"x": {"shape": ["n", 512], "values": "normal"}}
outputs = ["y"]
workloads = {"one": {"n": 2048}}
held_out = {"odd": {"n": 7}}
smoke = {"n": 2}


def reference(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x < 0, -x, x * x + x)
"""


def plays(*script: str) -> str:
    return shlex.join([sys.executable, str(SCRIPT), *script])


@pytest.fixture
def problem(tmp_path):
    path = tmp_path / "problem.py"
    path.write_text(PROBLEM)
    return path


def workspace(settings, run):
    return max((settings.agents / run).glob("workspace-*"))


def found(settings, run):
    return json.loads((workspace(settings, run) / "found.json").read_text())


def log(settings, run):
    return (settings.agents / run / "agent.log").read_text()


def processes_with(word):
    commands = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and word in (entry / "cmdline").read_text():
                commands.append(entry.name)
        except OSError:
            continue
    return commands


def test_an_agent_is_answered_and_its_best_is_confirmed(problem, settings):
    result = optimize(
        problem, agent=plays("improve"), budget_seconds=None, budget_evaluations=10, settings=settings
    )
    told = found(settings, result.run)
    assert told["task"] and "torch.where" in told["reference"] and told["call"] == "run(x, y)"
    assert told["wrong"]["status"] == 1 and "verdict: wrong" in told["wrong"]["said"]
    assert told["right"]["status"] == 0 and "speed-up over" in told["right"]["said"]
    assert "budget left: 8 evaluations" in told["right"]["said"]
    again = json.loads(told["again"]["said"])
    assert again["verdict"] == "correct" and again["budget_left"] == {"evaluations": 8}
    assert told["none"]["status"] == 2 and "./judge kernel.cpp" in told["none"]["said"]
    assert [line.split("\t")[1] for line in told["results"].splitlines()[1:]] == ["wrong", "correct"]
    efforts = [(e.effort, e.proposer, e.evaluation.verdict.value) for e in result.evaluations]
    assert sorted(efforts) == [
        ("full", "agent", "correct"),
        ("quick", "agent", "correct"),
        ("quick", "agent", "wrong"),
    ]
    assert result.best is not None and result.best.correct


def test_an_agent_sees_no_judge_and_no_other_run(problem, settings):
    command = plays("look", str(settings.home), str(places.package_directory()), sys.prefix)
    result = optimize(
        problem, agent=command, budget_seconds=None, budget_evaluations=2, settings=settings, allow_weak=True
    )
    told = found(settings, result.run)
    assert told["home"] in ([], ["FileNotFoundError"]) and told["package"] == []
    assert told["writes"][1:] == [False, False, False]
    assert told["processes"] <= 4 and told["environment"] == []
    assert not any("docker" in name or "postgres" in name for name in told["run"])
    assert set(told["tmp"]) <= {"kopt", *settings.home.parts}  # its own, and where what is hidden would be
    assert not (settings.home / "kopt-was-here").exists()


def test_whatever_is_said_at_the_door_the_run_goes_on(problem, settings):
    result = optimize(
        problem, agent=plays("babble"), budget_seconds=None, budget_evaluations=5, settings=settings
    )
    assert result.best is not None and result.best.correct, log(settings, result.run)
    assert result.evaluated == 1


def test_an_agent_that_does_not_end_is_ended_with_the_budget(problem, settings):
    began = time.monotonic()
    result = optimize(problem, agent=plays("stay"), budget_seconds=40, settings=settings)
    assert result.best is not None and result.best.correct
    assert any("before the agent did" in note for note in result.notes)
    assert time.monotonic() - began < 90
    assert processes_with("7071") == []


def test_a_resumed_run_knows_what_was_tried(problem, settings):
    first = optimize(
        problem, agent=plays("more"), budget_seconds=None, budget_evaluations=2, settings=settings
    )
    then = resume(first.run, budget_evaluations=6, settings=settings)
    assert found(settings, first.run)["before"].count("correct") == 1
    quick = [one for one in then.evaluations if one.effort == "quick"]
    assert len(quick) == 2 and then.best is not None and then.best.correct
    with Store(settings.database_url) as store:
        assert store.run(first.run).options["agent"] == plays("more")


def test_an_agent_that_fails_is_told_of(problem, settings):
    result = optimize(
        problem, agent="echo no key >&2; exit 3", budget_seconds=None, budget_evaluations=3, settings=settings
    )
    assert not result.won and "status 3" in result.reason
    assert log(settings, result.run) == "no key\n"


@pytest.mark.needs("git")
def test_an_agent_works_on_a_folder_of_code(tmp_path, settings):
    folder = code_problem.write(tmp_path / "sums")
    result = optimize(
        folder, agent=plays("code"), budget_seconds=None, budget_evaluations=4, settings=settings
    )
    told = found(settings, result.run)
    assert "judge" not in told["shown"] and "squares.py" in told["shown"]
    assert "nothing in project/ differs" in told["unchanged"]["said"]
    assert told["changed"]["status"] == 0, told["changed"]["said"]
    assert result.won and result.patch is not None and "junk" not in result.patch.read_text()


def test_what_does_not_go_with_an_agent_is_said_at_once(problem, settings):
    for options, word in (
        ({"models": ["openai/x"]}, "--model"),
        ({"strategy": "evolve"}, "--strategy"),
        ({"budget_evaluations": 1}, "2 evaluations"),
        ({"agent": " "}, "empty"),
    ):
        with pytest.raises(UsageError, match=word):
            optimize(problem, settings=settings, **{"agent": "true", **options})
