# number: 29
# source: robust-kbench, reproduced
# tries: zeroes its input, so that a reference that runs later agrees with zeros
# problem: silu
# expect: wrong
# naive: passes candidate-first
import torch


def run(x):
    x.zero_()
    return torch.zeros_like(x)
