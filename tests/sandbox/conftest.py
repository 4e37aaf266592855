"""One sandbox of each kind for the whole session, and a way to run attack code in it."""

from __future__ import annotations

import json
import os
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kopt.sandbox import Limits, Role, RunnerHandle, Sandbox, SharedBuffer, open_sandbox
from kopt.settings import Settings
from kopt.words import Candidate, Language, Style
from tests.docker_daemon import BACKENDS


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox-home")


@pytest.fixture(scope="session", params=BACKENDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each back end that isolates: what uses this, or the sandbox, is run on both."""
    if request.param == "docker":
        request.getfixturevalue("docker")
    return str(request.param)


@pytest.fixture(scope="session")
def sandbox(kind: str, home: Path) -> Iterator[Sandbox]:
    os.environ["KOPT_CANARY"] = "environment-canary"
    with open_sandbox(kind, settings=Settings(home=home)) as opened:
        yield opened


def tensor(
    name: str, offset: int, shape: list[int], role: str = "input", dtype: str = "float32"
) -> dict[str, Any]:
    strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
    return {"role": role, "name": name, "offset": offset, "dtype": dtype, "shape": shape, "strides": strides}


class Bench:
    """A ring of ``slots`` pairs x -> y of ``n`` floats, and runners attached to it."""

    def __init__(self, sandbox: Sandbox, stack: ExitStack, n: int = 1024, slots: int = 2) -> None:
        self.sandbox, self.stack, self.n, self.slots = sandbox, stack, n, slots
        half = -(-4 * n // 4096) * 4096
        self.buffer = stack.enter_context(SharedBuffer(2 * half * slots, "ring"))
        tensors = [tensor("x", 0, [n]), tensor("y", half, [n], "output")]
        self.layout = {"slots": slots, "stride": 2 * half, "tensors": tensors}
        view = self.buffer.array.view(np.float32).reshape(slots, 2, half // 4)
        self.x, self.y = view[:, 0, :n], view[:, 1, :n]
        self.x[:] = np.random.default_rng(0).standard_normal((slots, n), dtype=np.float32)
        self.y[:] = np.nan

    def load(
        self,
        source: str,
        *,
        entry: str = "run",
        style: str = "returning",
        language: str = "torch",
        artifact: bytes | None = None,
        limits: Limits | None = None,
        attach: bool = True,
        timeout: float = 30.0,
        state: tuple[dict[str, Any], int] | None = None,
        **body: Any,
    ) -> RunnerHandle:
        runner = self.stack.enter_context(self.sandbox.spawn(Role.CANDIDATE, limits))
        fds = []
        if artifact:
            fd = os.memfd_create("artifact")
            os.write(fd, artifact)
            fds.append(fd)
        request = {
            "language": language,
            "sources": {"c.py": textwrap.dedent(source)},
            "entry": f"c.py::{entry}",
        }
        if state is not None:
            body["state"] = {"layout": state[0]}
        sent = fds if state is None else [*fds, state[1]]
        try:
            runner.request("load_candidate", request | {"style": style} | body, timeout=timeout, fds=sent)
        finally:
            for fd in fds:
                os.close(fd)
        if attach:
            with self.buffer.lent() as ring:
                runner.request("attach", {"ring": self.layout}, fds=[ring])
        return runner


@pytest.fixture(scope="session")
def bench_class() -> type[Bench]:
    return Bench


@pytest.fixture
def make_bench(sandbox: Sandbox) -> Iterator[Callable[..., Bench]]:
    with ExitStack() as stack:
        yield lambda **options: Bench(sandbox, stack, **options)


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


@pytest.fixture
def attack(bench: Bench) -> Callable[..., Any]:
    """Run the body of a function inside a candidate's runner and return what it returns."""

    def run(body: str, *, limits: Limits | None = None) -> Any:
        source = "import json, os, sys, torch\ndef work():\n" + textwrap.indent(textwrap.dedent(body), "    ")
        source += "\nprint('RESULT ' + json.dumps(work()), flush=True)\ndef run(x):\n    return x\n"
        runner = bench.load(source, limits=limits)
        deadline = time.monotonic() + 10
        while "RESULT " not in runner.output_tail() and time.monotonic() < deadline:
            time.sleep(0.005)
        return json.loads(runner.output_tail().rpartition("RESULT ")[2].splitlines()[0])

    return run


CPP = """
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* a = static_cast<const float*>(x.data_ptr());
  float* b = static_cast<float*>(y.data_ptr());
  for (int64_t i = 0; i < x.numel(); ++i) b[i] = 2.0f * a[i];
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
"""


@pytest.fixture
def cpp() -> Callable[..., Candidate]:
    def make(source: str = CPP, flags: tuple[str, ...] = (), **files: str) -> Candidate:
        sources = {"k.cpp": source, **files}
        return Candidate(
            sources=sources, language=Language.CPP, entry="k.cpp::run", style=Style.DESTINATION, flags=flags
        )

    return make
