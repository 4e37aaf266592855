# number: 14
# source: invented: the output buffer may still hold the last answer
# tries: does not write the output it is given: what an earlier candidate left may be right
# problem: silu
# expect: wrong
# naive: faster
# runs: 2
import torch

calls = 0


def run_into(x, out):
    global calls
    calls += 1
    if calls <= 40:
        torch.mul(x, x.sigmoid(), out=out)
