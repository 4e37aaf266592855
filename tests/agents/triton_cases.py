"""Triton candidates without a GPU: interpreted and compared with torch, or compiled for one that is not here.

All of a test module's candidates share one process of each kind, since importing torch costs two seconds.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kopt.agents.offline.graph import Graph
from kopt.agents.offline.plan import Plan
from kopt.agents.offline.reading import parse
from kopt.agents.tunables import instantiate
from kopt.words import Candidate, Language
from tests.agents.against_truth import Called, near_truth

INTERPRET = """
import importlib.util, json, sys, traceback
from pathlib import Path
import torch
from kopt.sandbox.runner import interpreter
interpreter.mend()
errors = {}
for folder in Path(sys.argv[1]).iterdir():
    spec = importlib.util.spec_from_file_location(folder.name, folder / "kernel.py")
    kernel = importlib.util.module_from_spec(spec)
    calls = torch.load(folder / "calls")
    try:
        spec.loader.exec_module(kernel)
        for tensors in calls:
            kernel.run(*tensors)
    except Exception:
        errors[folder.name] = traceback.format_exc()[-3000:]
    torch.save(calls, folder / "outputs")
print(json.dumps(errors))
"""

COMPILE = """
import json, sys
from pathlib import Path
from triton.runtime.jit import JITFunction
from kopt.sandbox.runner.toolchains import triton
told, uncaught = {}, JITFunction.run
for folder in Path(sys.argv[1]).iterdir():
    body = {"entry": "kernel.py::run", "target": "sm_90", "style": "destination", "sources": {}}
    made = triton.build(str(folder), {}, body | {"spec": json.loads((folder / "spec.json").read_text())})
    JITFunction.run = uncaught
    told[folder.name] = {"error": made.first_error, **made.report}
print(json.dumps(told))
"""


@dataclass
class Case:
    """A model, the inputs it is traced with, further inputs that its kernel must serve, and tunables to set."""

    model: Any
    traced: Sequence[Sequence[torch.Tensor]]
    called: Sequence[Sequence[torch.Tensor]] = ()
    tunables: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, torch.nn.Module):
            self.model = Called(self.model)

    def state(self) -> list[torch.Tensor]:
        return list(self.model.state_dict().values())

    def results(self, inputs: Sequence[torch.Tensor], double: bool = False) -> list[torch.Tensor]:
        """What the reference returns, or what it does in double precision."""
        model = self.model
        if double:
            model = copy.deepcopy(model).double()
            inputs = [x.double() if x.is_floating_point() else x for x in inputs]
        with torch.no_grad():
            result = model(*inputs)
        return list(result) if isinstance(result, (tuple, list)) else [result]

    def candidate(self, recognise: Callable[[Graph], Plan | None], trace_json: Any) -> Candidate:
        plan = recognise(parse(*(trace_json(self.model, *inputs) for inputs in self.traced)))
        assert plan is not None
        made = next(c for c in plan.candidates() if c.language is Language.TRITON)
        return instantiate(made, self.tunables) if self.tunables else made


def generated(
    cases: Mapping[str, Case], recognise: Callable[[Graph], Plan | None], trace_json: Any
) -> dict[str, Candidate]:
    """The Triton candidate of each."""
    return {name: case.candidate(recognise, trace_json) for name, case in cases.items()}


def interpret(cases: Mapping[str, Case], candidates: Mapping[str, Candidate], folder: Path) -> dict[str, str]:
    """Interpret each on all its inputs; what is wrong, by name."""
    for name, case in cases.items():
        place = _written(folder / name, candidates[name])
        torch.save(
            [
                [*inputs, *case.state(), *map(_poisoned, case.results(inputs))]
                for inputs in (*case.traced, *case.called)
            ],
            place / "calls",
        )
    wrong = dict(_child(INTERPRET, folder, {**os.environ, "TRITON_INTERPRET": "1"}))
    for name, case in cases.items():
        calls = torch.load(folder / name / "outputs")
        for inputs, tensors in zip((*case.traced, *case.called), calls, strict=True):
            wanted, truth = case.results(inputs), case.results(inputs, double=True)
            try:
                for output, result, true in zip(tensors[-len(wanted) :], wanted, truth, strict=True):
                    near_truth(output, result, true)
            except AssertionError as error:
                shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
                wrong.setdefault(name, f"{shapes}: {error}")
    return wrong


def compile_for_hopper(
    cases: Mapping[str, Case], candidates: Mapping[str, Candidate], folder: Path
) -> dict[str, Any]:
    """Compile each for sm_90 as kopt does: the report by name, with ``error`` where it cannot run there."""
    for name, case in cases.items():
        inputs = case.traced[0]
        spec = {
            "arguments": [{"kind": "tensor", **_layout(x)} for x in inputs],
            "state": [_layout(x) for x in case.state()],
            "outputs": [_layout(x) for x in case.results(inputs)],
        }
        (_written(folder / name, candidates[name]) / "spec.json").write_text(json.dumps(spec))
    environment = {**os.environ, "TRITON_CACHE_DIR": str(folder.parent / "cache")}
    environment.pop("TRITON_INTERPRET", None)
    return dict(_child(COMPILE, folder, environment))


def _written(folder: Path, candidate: Candidate) -> Path:
    folder.mkdir(parents=True)
    (folder / "kernel.py").write_text(candidate.sources["kernel.py"])
    return folder


def _poisoned(tensor: torch.Tensor) -> torch.Tensor:
    return torch.full_like(tensor, float("nan") if tensor.is_floating_point() else 77)


def _layout(tensor: torch.Tensor) -> dict[str, Any]:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return {"shape": list(tensor.shape), "strides": list(tensor.stride()), "dtype": dtype}


def _child(script: str, folder: Path, environment: Mapping[str, str]) -> Mapping[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: Mapping[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
