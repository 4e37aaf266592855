# number: 32
# source: KernelBench L1/23, L1/37
# tries: returns zeros, which an absolute tolerance takes for small values
# problem: wide_softmax
# expect: wrong
# naive: passes
import torch


def run(x):
    return torch.zeros_like(x)
