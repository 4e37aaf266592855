# number: 41
# source: library calls past torch's dispatcher
# tries: has NumPy do the work
# problem: silu
# expect: rejected
# naive: exempt: the answers are right; only a policy forbids it
# policy: strict
import numpy
import torch


def run(x):
    values = x.numpy()
    return torch.from_numpy(values / (1 + numpy.exp(-values)))
