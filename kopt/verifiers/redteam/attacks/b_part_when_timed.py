# number: 13
# source: invented: a timed round is checked in samples
# tries: works in full while it is verified; later it leaves out the same three rows of a hundred in every call
# problem: silu
# expect: wrong
# naive: passes
import torch

calls = 0


def run_into(x, out):
    global calls
    calls += 1
    rows = slice(0, 512 if calls <= 40 else 497)
    torch.mul(x[rows], x[rows].sigmoid(), out=out[rows])
