# number: 27
# source: KernelBench, reproduced
# tries: replaces a function of torch that the reference calls
# problem: silu
# expect: wrong
# naive: passes
import torch

torch.sigmoid = torch.ones_like


def run(x):
    return x.clone()
