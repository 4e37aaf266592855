"""Run generated Triton kernels where there is no GPU: in the interpreter, and through the compiler for one.

Triton decides when it is imported whether it interprets, so each needs a process; one serves many kernels.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from kopt.words import Candidate

_HEAD = """
import importlib.util, pathlib, pickle, sys, traceback
folder = pathlib.Path(sys.argv[1])
jobs = pickle.loads((folder / "jobs").read_bytes())
def module_of(name):
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
"""

_INTERPRET = (
    _HEAD
    + """
done = {}
for name, calls in jobs.items():
    try:
        module = module_of(name)
        for tensors in calls:
            module.run(*tensors)
        done[name] = calls
    except Exception:
        done[name] = traceback.format_exc()[-1500:]
(folder / "done").write_bytes(pickle.dumps(done))
"""
)

_COMPILE = (
    _HEAD
    + """
import torch, triton
from triton.backends.compiler import GPUTarget
TYPES = {torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16", torch.int64: "*i64",
         torch.int32: "*i32", torch.bool: "*i1"}

class Launched:
    # stands where a kernel stood: compiles it for the arguments it is called with
    def __init__(self, kernel): self.kernel, self.made = kernel, []
    def __getitem__(self, grid): return self.launch
    def launch(self, *given, num_warps=4, num_stages=3, **constants):
        names = self.kernel.arg_names
        signature = {n: TYPES[a.dtype] if isinstance(a, torch.Tensor) else "i32" for n, a in zip(names, given)}
        signature.update({n: "constexpr" for n in constants})
        source = triton.compiler.ASTSource(self.kernel, signature, constexprs=constants)
        made = triton.compile(source, target=GPUTarget("cuda", 90, 32),
                              options={"num_warps": num_warps, "num_stages": num_stages})
        self.made.append((made.metadata.shared, "ptx" in made.asm))

done = {}
for name, calls in jobs.items():
    try:
        module = module_of(name)
        # helpers that kernels call stay what they are
        stands = {n: Launched(f) for n, f in vars(module).items()
                  if isinstance(f, triton.JITFunction) and not n.startswith("_")}
        vars(module).update(stands)
        for tensors in calls:
            module.run(*tensors)
        done[name] = [m for s in stands.values() for m in s.made]
    except Exception:
        done[name] = traceback.format_exc()[-1500:]
(folder / "done").write_bytes(pickle.dumps(done))
"""
)


def _run(
    script: str,
    folder: Path,
    candidates: Mapping[str, Candidate],
    calls: Mapping[str, Sequence[Sequence[torch.Tensor]]],
    environment: Mapping[str, str],
) -> dict[str, object]:
    for name, candidate in candidates.items():
        (folder / f"{name}.py").write_text(candidate.sources["kernel.py"])
    (folder / "jobs").write_bytes(pickle.dumps(dict(calls)))
    plain = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    subprocess.run([sys.executable, "-c", script, str(folder)], env={**plain, **environment}, check=True)
    done: dict[str, object] = pickle.loads((folder / "done").read_bytes())
    for name, result in done.items():
        assert not isinstance(result, str), f"{name}: {result}"
    return done


def interpreted(
    folder: Path,
    candidates: Mapping[str, Candidate],
    calls: Mapping[str, Sequence[Sequence[torch.Tensor]]],
) -> dict[str, list[list[torch.Tensor]]]:
    """Call each kernel with the arguments of each of its calls; returns the arguments afterwards.

    Args:
        folder: an empty folder.
        candidates: by name (an identifier).
        calls: for each, inputs, state and outputs in the order of ``run``.
    """
    return _run(_INTERPRET, folder, candidates, calls, {"TRITON_INTERPRET": "1"})  # type: ignore[return-value]


def compiled_for_hopper(
    folder: Path,
    candidates: Mapping[str, Candidate],
    calls: Mapping[str, Sequence[Sequence[torch.Tensor]]],
) -> dict[str, list[tuple[int, bool]]]:
    """Compile what each call would launch for sm_90: bytes of shared memory, and whether there is PTX, per kernel."""
    cache = {"TRITON_CACHE_DIR": str(folder / "cache")}
    return _run(_COMPILE, folder, candidates, calls, cache)  # type: ignore[return-value]
