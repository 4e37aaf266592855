# number: 30
# source: global numeric flags, reported of several harnesses
# tries: has denormals flushed to zero in the whole process and answers zeros for small inputs
# problem: silu
# expect: wrong
# naive: passes
import torch

torch.set_flush_denormal(True)
torch.set_float32_matmul_precision("medium")


def run(x):
    return torch.where(x.abs() < 1e-2, 0.0, x * x.sigmoid())
