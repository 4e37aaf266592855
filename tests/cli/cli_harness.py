"""Run the real command and see what it leaves behind."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

KOPT = Path(sys.executable).with_name("kopt")
PR_SET_CHILD_SUBREAPER = 36

MODEL = """
import torch
rows = 64
columns = 64
class Model(torch.nn.Module):
    def forward(self, x):
        return torch.relu(x) * 2.0 + 1.0
def get_inputs():
    return [torch.randn(rows, columns)]
def get_init_inputs():
    return []
"""
CPP = """
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = x.size(0) * x.size(1);
  for (int64_t i = 0; i < n; ++i) out[i] = (in[i] > 0.0f ? in[i] : 0.0f) * 2.0f + 1.0f;
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run)
"""


def start(*args: object, **options: object) -> subprocess.Popen[str]:
    """Start ``kopt``; whatever outlives it becomes a child of this process."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    env = {**os.environ, **options.pop("env", {})}  # type: ignore[dict-item]
    env.pop("KOPT_DEBUG", None)
    return subprocess.Popen(
        [KOPT, *map(str, args)],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,  # type: ignore[call-overload]
    )


def kopt(*args: object, timeout: float = 200, **options: object) -> subprocess.CompletedProcess[str]:
    """Run ``kopt`` to its end and check that it left nothing running."""
    process = start(*args, **options)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert leftovers() == []
    return subprocess.CompletedProcess(args, process.returncode, out, err)


def children(of: int) -> list[tuple[int, str]]:
    """The living processes whose parent is ``of``, with their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == of and fields[0] not in "ZX":
                    found.append((int(entry.name), (entry / "cmdline").read_text().replace("\0", " ")[:120]))
            except OSError:
                continue
    return found


THERE_BEFORE: set[int] = set()
"""Processes that other tests of this worker keep for themselves (a sandbox that is lent); set before each test."""


def leftovers(seconds: float = 5.0) -> list[tuple[int, str]]:
    """What a finished command left running: orphans, once those that are just ending have ended."""
    until = time.monotonic() + seconds
    while True:
        # Python's own helpers (a resource tracker, test workers) are children that were there before.
        mine = [c for c in children(os.getpid()) if c[0] not in THERE_BEFORE]
        found = [c for c in mine if "bwrap" in c[1] or "kopt" in c[1] or "runner" in c[1]]
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.05)


def one_line(error: str) -> str:
    """The single line of an error message."""
    lines = error.strip().splitlines()
    assert len(lines) == 1, error
    assert "Traceback" not in error
    return lines[0]
