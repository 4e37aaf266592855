"""Triton kernels: right under the interpreter on small shapes, and they compile for a GPU that is not here."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from kopt.agents.offline.fused import recognise

if importlib.util.find_spec("triton") is None:
    pytest.skip("triton is not installed", allow_module_level=True)

MODELS = {
    "sigmoid": "torch.sigmoid",
    "mish": "F.mish",
    "softmax": "lambda x: F.softmax(x, -1)",
    "softmax_outer": "lambda x: F.softmax(x, 0)",
    "layer_norm": "lambda x: F.layer_norm(x, (35,))",
    "rms_by_hand": "lambda x: x / torch.sqrt((x ** 2).mean(0, keepdim=True) + 1e-5)",
    "max": "lambda x: x.amax(-1)",
}

RUN = """
import importlib.util, sys, torch, torch.nn.functional as F
spec = importlib.util.spec_from_file_location("kernel", sys.argv[1])
kernel = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kernel)
torch.manual_seed(0)
x = torch.randn(13, 35)
wanted = ({model})(x)
got = torch.full_like(wanted, float("nan"))
kernel.run(x, got)
torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)
"""

COMPILE = """
import importlib.util, sys, triton
from triton.backends.compiler import GPUTarget
spec = importlib.util.spec_from_file_location("kernel", sys.argv[1])
kernel = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kernel)
names = kernel.kernel.arg_names
signature = {n: "constexpr" if n == "BLOCK" else "*fp32" for n in names}
source = triton.compiler.ASTSource(kernel.kernel, signature, constexprs={"BLOCK": kernel.BLOCK})
assert "ptx" in triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm
"""


def source(name: str, folder: Path, graph_of: Any) -> Path:
    model = eval(MODELS[name], {"torch": torch, "F": torch.nn.functional})
    plan = recognise(graph_of(model, torch.randn(13, 35)))
    assert plan is not None
    candidate = next(c for c in plan.candidates() if c.language == "triton")
    path = folder / "kernel.py"
    path.write_text(candidate.sources["kernel.py"])
    return path


@pytest.mark.parametrize("name", MODELS)
def test_right_under_the_interpreter(name: str, tmp_path: Path, graph_of: Any) -> None:
    script = RUN.replace("{model}", MODELS[name])
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(source(name, tmp_path, graph_of))],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", ["mish", "softmax", "rms_by_hand"])
def test_compiles_for_a_gpu(name: str, tmp_path: Path, graph_of: Any) -> None:
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path / "cache")}
    environment.pop("TRITON_INTERPRET", None)
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, str(source(name, tmp_path, graph_of))],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
