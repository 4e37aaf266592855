"""Shipped problems judged by their reference get kernels without any model, for CPU and GPU; the others are named."""

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

NO_KERNEL = {
    "paged_decode": "aten.index.Tensor has no lowering",
}
"""Problems that the generator cannot help with yet: what it says of them."""


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
    made = {c.language for c in proposer.propose(Context(problem=problem, graph=graph))}
    if name in NO_KERNEL:
        assert not made and any(NO_KERNEL[name] in reason for reason in proposer.explain())
        return
    assert made >= {Language.CPP, Language.TRITON}, proposer.explain()
