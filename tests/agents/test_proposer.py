"""The offline proposer, the tunables and the tuner."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
import time
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from kopt.agents.context import Context, Proposer
from kopt.agents.offline.proposer import OfflineProposer
from kopt.agents.tunables import defaults, instantiate
from kopt.agents.tuner import Tuner
from kopt.words import Candidate, Language, Problem, Style, Tunable


def context(graph: Any) -> Context:
    problem = Problem(name="p", format="model", sources={"p.py": ""}, entry="p.py")
    return Context(problem=problem, graph=graph)


def small(language: Language = Language.CPP) -> Candidate:
    text = (
        "#ifndef A\n#define A 1\n#endif\n"
        if language is Language.CPP
        else "A = 1  # width\nB: int = 2\nuse(A, B)\n"
    )
    return Candidate(
        sources={"k": text},
        language=language,
        entry="k::run",
        style=Style.DESTINATION,
        tunables=(
            Tunable(name="A", choices=(1, 2, 4), default=1),
            Tunable(name="B", choices=(2, 3), default=2),
        ),
    )


def test_candidates_say_what_they_are_and_why(trace_json: Any) -> None:
    proposer = OfflineProposer()
    assert isinstance(proposer, Proposer)
    found = list(proposer.propose(context(trace_json(lambda x: F.softmax(x, -1), torch.randn(8, 100)))))
    assert [c.language for c in found] == ["cpp", "cpp", "triton"]
    for candidate in found:
        assert {"plan", "schedule", "why"} <= set(candidate.notes)
        assert candidate.proposer == "offline"
        assert candidate.tunables
    assert proposer.explain() == []


def test_what_was_tried_is_not_proposed_again(trace_json: Any) -> None:
    graph = trace_json(torch.sigmoid, torch.randn(8, 100))
    first, *rest = OfflineProposer().propose(context(graph))
    tried = Context(problem=context(graph).problem, graph=graph, history=((first, None),))  # type: ignore[arg-type]
    assert [c.digest for c in OfflineProposer().propose(tried)] == [c.digest for c in rest]


def test_what_was_left_out_is_told_although_something_was_made(trace_json: Any) -> None:
    graph = trace_json(lambda x: F.softmax(x, -1), torch.randn(8, 100, dtype=torch.float64))
    proposer = OfflineProposer()
    assert {c.language for c in proposer.propose(context(graph))} == {Language.CPP}
    assert proposer.explain() == [
        "no Triton kernel: Triton kernels are generated for single precision and below"
    ]
    next(iter(proposer.propose(context(graph))))
    assert proposer.explain() == []  # nobody asked for what comes after the first


def test_without_triton_there_is_no_triton_kernel(trace_json: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer's run ends without a build that cannot succeed."""
    installed = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "triton" else installed(name, *rest)
    )
    proposer = OfflineProposer()
    made = list(proposer.propose(context(trace_json(torch.sigmoid, torch.randn(8, 100)))))
    assert {c.language for c in made} == {Language.CPP}
    assert proposer.explain() == [
        "no Triton kernel: Triton is not installed to check one; pip install 'kopt[gpu]'"
    ]


def test_the_most_telling_reason_is_the_last(trace_json: Any) -> None:
    class Pooled(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.max_pool2d(torch.exp(x), 2)

    proposer = OfflineProposer()
    assert list(proposer.propose(context(trace_json(Pooled(), torch.randn(1, 2, 8, 8))))) == []
    *others, last = proposer.explain()
    assert "computed first" in last and any("no lowering" in reason for reason in others)


def test_an_operation_without_lowering_is_named(trace_json: Any) -> None:
    proposer = OfflineProposer()
    assert list(proposer.propose(context(trace_json(lambda x: torch.linalg.inv(x), torch.randn(4, 4))))) == []
    assert any("linalg_inv" in reason for reason in proposer.explain())


@pytest.mark.parametrize("graph", [None, {"error": "data-dependent"}, {"values": 3}])
def test_without_a_usable_graph_the_reason_is_given(graph: Any) -> None:
    proposer = OfflineProposer()
    assert list(proposer.propose(context(graph))) == []
    assert proposer.explain()


def test_the_host_needs_no_torch() -> None:
    code = "import sys, kopt.agents.context, kopt.agents.tuner, kopt.agents.offline.proposer as p; p.OfflineProposer()"
    code += "; import kopt.agents.offline.fused; sys.exit('torch' in sys.modules or 'optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_macros_are_set_in_front_of_the_source() -> None:
    changed = instantiate(small(), {"A": 4})
    assert changed.sources["k"].startswith("#define A 4\n")
    assert changed.parents == (small().digest,)
    assert changed.notes["tunables"] == {"A": 4, "B": 2}
    assert instantiate(small(), {}).digest == small().digest


def test_python_constants_are_rewritten() -> None:
    assert (
        instantiate(small(Language.TRITON), {"A": 4, "B": 3})
        .sources["k"]
        .startswith("A = 4  # width\nB: int = 3\n")
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("A = 2", "A = 4"),
        ("A: int = 2 \t# A = 2\r", "A: int = 4 \t# A = 2\r"),
        ("A = (1 +  1)   ", "A = 4   "),
        ("A == 2", "A == 2"),
        ("  A = 2", "  A = 2"),
        ("AB = 2", "AB = 2"),
    ],
)
def test_only_assignments_of_the_module_are_rewritten(before: str, after: str) -> None:
    made = dataclasses.replace(small(Language.TRITON), sources={"k": f"{before}\nB = 2\n"})
    assert instantiate(made, {"A": 4}).sources["k"] == f"{after}\nB = 2\n"


@pytest.mark.parametrize(
    "text", ["A = a" + " " * 200_000 + "b", "A" + "\n" * 200_000, "A: " * 70_000, "A =\n" * 50_000]
)
def test_rewriting_takes_no_time(text: str) -> None:
    began = time.monotonic()
    instantiate(dataclasses.replace(small(Language.TRITON), sources={"k": text}), {"A": 4})
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("values", [{"C": 1}, {"A": 3}])
def test_values_outside_the_declaration_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"no tunable|none of"):
        instantiate(small(), values)


def test_the_tuner_starts_with_the_defaults_and_tries_everything_once() -> None:
    tuner = Tuner(small(), seed=1)
    asked = []
    while (candidate := tuner.ask()) is not None:
        values = candidate.notes["tunables"]
        asked.append((values["A"], values["B"]))
        failed = values["A"] == 2
        tuner.tell(candidate, None if failed else 1.0 / values["A"] + values["B"])
    assert asked[0] == tuple(defaults(small()).values())
    assert sorted(asked) == [(a, b) for a in (1, 2, 4) for b in (2, 3)]
    assert tuner.best is not None
    assert tuner.best[1].notes["tunables"] == {"A": 4, "B": 2}


def test_the_tuner_is_reproducible() -> None:
    def run() -> list[Any]:
        tuner, seen = Tuner(small(), seed=7), []
        for _ in range(4):
            candidate = tuner.ask()
            assert candidate is not None
            seen.append(candidate.notes["tunables"])
            tuner.tell(candidate, float(len(seen)))
        return seen

    assert run() == run()
