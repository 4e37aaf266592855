"""Every shipped problem that can be judged by its reference gets a C++ kernel without any model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kopt.agents.context import Context
from kopt.agents.offline import trace as tracing
from kopt.agents.offline.proposer import OfflineProposer
from kopt.problems import load, suite_problems
from kopt.problems.inside import open_problem
from kopt.words import Language


@pytest.mark.parametrize("name", sorted(suite_problems()))
def test_a_kernel_is_generated(name: str, tmp_path: Path) -> None:
    """From the traces that a run takes: all workloads and the smallest sizes."""
    problem = load(suite_problems()[name])
    assert problem.format in ("kopt", "model")
    handle = open_problem(problem.format, problem.sources, problem.entry, tmp_path)
    wanted = [{"workload": w.index} for w in handle.workloads()]
    if problem.format == "kopt":
        wanted.append({"smoke": True})
    graph = [json.loads(json.dumps(tracing.trace(handle, **arguments))) for arguments in wanted]
    proposer = OfflineProposer()
    made = list(proposer.propose(Context(problem=problem, graph=graph)))
    assert any(candidate.language is Language.CPP for candidate in made), proposer.explain()
