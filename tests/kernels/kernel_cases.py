"""A small problem, a kernel for it that can be told from its reference, and a certificate."""

from __future__ import annotations

from kopt.kernels.machine import facts

CPP = """
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
// y = scale * x + 100: the 100 tells the kernel from the reference
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView scale, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  const float s = *static_cast<const float*>(scale.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  for (int i = 0; i < 32; ++i) out[i] = s * in[i] + 100.0f;
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run)
"""
MODEL = b"""
import torch
class Model(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.full((1,), factor))
    def forward(self, x):
        return self.scale * x
def get_inputs(): return [torch.rand(4, 8)]
def get_init_inputs(): return [3.0]
"""


def tensor(name, *shape, dtype="float32"):
    strides = [1] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        strides[i] = strides[i + 1] * shape[i + 1]
    return {"kind": "tensor", "name": name, "shape": list(shape), "dtype": dtype, "strides": strides}


def certificate(candidate, *, format="model", arguments=None, state=(), outputs=None, machine=None):
    spec = {
        "workload": {"name": "default"},
        "arguments": arguments or [tensor("x", 4, 8)],
        "state": list(state),
        "outputs": outputs or [tensor("output", 4, 8)],
        "init": [3.0],
    }
    speedup = {"eager": {"ratio": 2.0, "low": 1.9, "high": 2.1}, "compile": None}
    return {
        "problem": {"name": "p", "format": format, "entry": "p.py"},
        "candidate": candidate,
        "specs": [spec],
        "mutates_inputs": False,
        "machine": machine or dict(facts()),
        "evaluation": {"speedup": speedup},
    }
