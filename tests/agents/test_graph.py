"""The trace is data from an untrusted process: what does not fit is refused before anything reads it."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import torch

from kopt.agents.context import Context
from kopt.agents.offline.graph import GraphError, Unsupported
from kopt.agents.offline.proposer import OfflineProposer
from kopt.agents.offline.reading import parse
from kopt.words import Problem

TRACE: dict[str, Any] = {
    "version": 1,
    "how": "export",
    "values": {n: {"shape": [4, 8], "dtype": "float32", "strides": [8, 1]} for n in ("x", "mul")},
    "inputs": ["x"],
    "input_names": ["x"],
    "state": [],
    "state_names": [],
    "constants": {},
    "nodes": [{"name": "mul", "op": "aten.mul.Tensor", "args": {"self": {"ref": "x"}, "other": 2.0}}],
    "outputs": ["mul"],
}


def changed(**change: Any) -> dict[str, Any]:
    return {**copy.deepcopy(TRACE), **change}


def node(**change: Any) -> list[dict[str, Any]]:
    return [{**copy.deepcopy(TRACE["nodes"][0]), **change}]


@pytest.mark.parametrize(
    "bad",
    [
        changed(values=[]),
        changed(nodes=node(op='aten.mul"); system("')),
        changed(nodes=node(name="x; int y")),
        changed(nodes=node(args={"self": {"ref": "nobody"}, "other": 1})),
        changed(nodes=node(args={"self": {"ref": "x"}, "other": {"code": "1"}})),
        changed(nodes=node(args={"self": [[[[[[1]]]]]]})),
        changed(outputs=["gone"]),
        changed(values={**TRACE["values"], "x": {"shape": [-1], "dtype": "float32", "strides": [1]}}),
        changed(
            values={**TRACE["values"], "x": {"shape": [1] * 40, "dtype": "float32", "strides": [1] * 40}}
        ),
        changed(nodes=TRACE["nodes"] * 3000),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(GraphError):
        parse(bad)


@pytest.mark.parametrize(
    "bad",
    [
        changed(values={**TRACE["values"], "x": 1}),
        changed(state=["x"], state_names=[]),
        changed(constants={"c": 1}),
        changed(nodes=node(op="aten.mm.default", args={"self": {"ref": "x"}})),
        changed(nodes=node(op="aten._softmax.default", args={"self": {"ref": "x"}, "dim": "x"})),
        changed(nodes=node(op="aten.sum.dim_IntList", args={"self": {"ref": "x"}, "dim": [1 << 40]})),
    ],
)
def test_what_no_tracer_writes_makes_no_candidate_and_no_crash(bad: dict[str, Any]) -> None:
    problem = Problem(name="p", format="model", sources={"p.py": ""}, entry="p.py")
    proposer = OfflineProposer()
    assert list(proposer.propose(Context(problem=problem, graph=bad))) == []
    assert proposer.explain()


def test_names_become_identifiers_that_are_safe_in_cpp() -> None:
    graph = parse(changed(input_names=["double"]))
    assert graph.inputs == ("double_in",)
    assert graph.nodes[0].refs() == ("double_in",)
    assert parse(changed(input_names=["x; abort()"])).inputs[0].isidentifier()


def test_a_reference_that_cannot_be_traced_says_why() -> None:
    with pytest.raises(Unsupported, match="cannot be traced: export: no"):
        parse({"error": "export: no"})


def test_unknown_dtypes_are_named() -> None:
    with pytest.raises(Unsupported, match="complex64"):
        parse(changed(values={**TRACE["values"], "x": {"shape": [4], "dtype": "complex64", "strides": [1]}}))


def test_state_keeps_the_order_of_the_state_dict(graph_of: Any) -> None:
    graph = graph_of(torch.nn.BatchNorm2d(4), torch.randn(2, 4, 3, 3))
    assert [graph.labels[n] for n in graph.state] == list(torch.nn.BatchNorm2d(4).state_dict())


def test_traces_at_several_sizes_merge(trace_json: Any) -> None:
    def model(x: torch.Tensor) -> torch.Tensor:
        return x.reshape(x.shape[0] * x.shape[1], 8) * 2

    graph = parse(*(trace_json(model, torch.randn(a, b, 8)) for a, b in ((2, 3), (5, 7))))
    assert graph.dynamic
    assert graph.size((6, 35)) == "x.size(0) * x.size(1)"
    assert graph.size((8, 8)) == "8"
    with pytest.raises(Unsupported, match="varies"):
        graph.size((7, 11))
    named = dataclasses.replace(graph, sizes={"OW": (7, 11)})
    assert (named.size((7, 11)), named.size((14, 55))) == ("OW", "OW * x.size(0)")


def test_traces_of_different_paths_do_not_merge(trace_json: Any) -> None:
    one, two = (trace_json(f, torch.randn(3)) for f in (torch.exp, torch.log))
    with pytest.raises(GraphError, match="different paths"):
        parse(one, two)


def test_in_place_on_shared_memory_is_refused(graph_of: Any) -> None:
    def model(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        y.view(-1).relu_()
        return y

    with pytest.raises(Unsupported, match="shares memory"):
        graph_of(model, torch.randn(3, 4))
