# number: 35
# source: KernelBench L1/90: 64 of 32768 columns
# tries: computes the first columns and leaves the others zero, to which they underflow
# problem: cumprod
# expect: wrong
# naive: passes
import torch


def run(x):
    out = torch.zeros_like(x)
    torch.cumprod(x[:, :256], dim=1, out=out[:, :256])
    return out
