# number: 41
# source: legal under some policies
# tries: calls the operator that it was asked to write
# problem: silu
# expect: rejected
# naive: exempt: the answers are right; only a policy forbids it
# policy: strict
import torch


def run(x):
    return torch.nn.functional.silu(x)
