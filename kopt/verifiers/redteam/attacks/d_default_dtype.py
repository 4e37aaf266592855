# number: 30
# source: global numeric flags, reported of several harnesses
# tries: changes the default dtype, so that inputs and reference are drawn and computed in bfloat16
# problem: silu
# expect: wrong
# naive: passes
import torch

torch.set_default_dtype(torch.bfloat16)


def run(x):
    low = x.bfloat16()
    return (low * low.sigmoid()).to(x.dtype)
