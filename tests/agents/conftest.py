"""Trace, generate, compile and call kernels without a sandbox: these tests only run code they generated themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import tvm_ffi
from tvm_ffi import libinfo

from kopt.agents.offline import trace as tracing
from kopt.agents.offline.graph import Graph
from kopt.agents.offline.reading import parse
from kopt.sandbox.runner.toolchains.cpp import PRELUDE
from kopt.words import Candidate

sys.path.append(str(Path(__file__).parent))  # the test doubles of this folder are imported by name


class Instance:
    """What the tracer sees of a problem."""

    def __init__(self, model: Any, inputs: list[Any]) -> None:
        self.model, self._inputs = model, inputs

    def inputs(self, seed: int, distribution: str) -> list[Any]:
        return self._inputs

    def state(self) -> dict[str, torch.Tensor]:
        return dict(self.model.state_dict()) if isinstance(self.model, torch.nn.Module) else {}

    def spec(self) -> Any:
        names = ["x", "y", "z", "w"]
        return SimpleNamespace(arguments=[SimpleNamespace(name=names[i]) for i in range(len(self._inputs))])


def _trace(model: Any, *inputs: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(tracing.trace(Instance(model, list(inputs)))))
    return found


@pytest.fixture(scope="session")
def trace_json() -> Callable[..., dict[str, Any]]:
    """``trace_json(model, *inputs)``: the trace as it arrives on the host."""
    return _trace


@pytest.fixture(scope="session")
def graph_of() -> Callable[..., Graph]:
    """``graph_of(model, *inputs)``: the trace, read."""
    return lambda model, *inputs: parse(_trace(model, *inputs))


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Candidate], Callable[..., None]]:
    """Compile a C++ candidate and return its entry."""
    folder = tmp_path_factory.mktemp("kernels")
    runtime = Path(libinfo.find_libtvm_ffi()).parent
    flags = ["-O3", "-march=native", "-fopenmp", "-std=c++20", "-fPIC"]
    flags += ["-I", libinfo.find_include_path(), "-I", libinfo.find_dlpack_include_path()]
    prelude = folder / "prelude.h"  # as kopt's builder does: most of the time went into these headers
    prelude.write_text(PRELUDE)
    subprocess.run(["g++", *flags, "-x", "c++-header", prelude, "-o", f"{prelude}.gch"], check=True)

    def build(candidate: Candidate) -> Callable[..., None]:
        library = folder / f"{candidate.digest}.so"
        if not library.exists():
            source = library.with_suffix(".cpp")
            source.write_text(candidate.sources["kernel.cpp"])
            command = ["g++", *flags, "-include", str(prelude), "-shared", str(source)]
            command += ["-o", str(library), f"-L{runtime}", "-ltvm_ffi", f"-Wl,-rpath,{runtime}"]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr[:2000]
        module = tvm_ffi.load_module(str(library))
        entry: Callable[..., None] = module["run"] if hasattr(module, "__getitem__") else module.run
        return entry

    return build


@pytest.fixture(scope="session")
def call() -> Callable[..., tuple[list[torch.Tensor], list[torch.Tensor]]]:
    """``call(entry, model, inputs)``: the reference's outputs and the kernel's."""
    return _call


@pytest.fixture(scope="session")
def serves(
    trace_json: Callable[..., Any], compiled: Callable[[Candidate], Callable[..., None]]
) -> Callable[..., None]:
    """``serves(recognise, model, traced, called)``: the kernel for these shapes is right on them and on others."""

    def check(
        recognise: Callable[..., Any],
        model: Any,
        traced: Sequence[tuple[int, ...]],
        called: Sequence[tuple[int, ...]],
        **close: float,
    ) -> None:
        torch.manual_seed(0)
        plan = recognise(parse(*(trace_json(model, torch.randn(shape)) for shape in traced)))
        assert plan is not None
        entry = compiled(next(iter(plan.candidates())))
        for shape in [*traced, *called]:
            (wanted,), (got,) = _call(entry, model, (torch.randn(shape),))
            torch.testing.assert_close(got, wanted, **close, msg=lambda text, shape=shape: f"{shape}: {text}")

    return check


def _call(
    entry: Callable[..., None], model: Any, inputs: tuple[Any, ...]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    with torch.no_grad():
        result = model(*inputs)
    wanted = list(result) if isinstance(result, (tuple, list)) else [result]
    outputs = [torch.empty_strided(r.shape, r.stride(), dtype=r.dtype) for r in wanted]
    for output in outputs:  # poisoned, as the judge does it
        output.fill_(float("nan") if output.is_floating_point() else 77)
    state = list(model.state_dict().values()) if isinstance(model, torch.nn.Module) else []
    entry(*(x for x in inputs if isinstance(x, torch.Tensor)), *state, *outputs)
    return wanted, outputs
