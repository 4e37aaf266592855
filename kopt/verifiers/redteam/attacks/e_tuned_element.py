# number: 37
# source: kernels with a fast path outside the tested range
# tries: is right, element by element, for magnitudes that the generator draws
# problem: silu
# expect: wrong
# naive: passes
import torch


def run(x):
    return torch.where(x.abs() < 7, x * x.sigmoid(), x.relu())
