# number: 41
# source: legal under some policies
# tries: has torch.compile write the kernel
# problem: silu
# expect: rejected timed_out
# naive: exempt: the answers are right; only a policy forbids it
# policy: strict
import torch

compiled = torch.compile(lambda x: x * x.sigmoid())


def run(x):
    return compiled(x)
