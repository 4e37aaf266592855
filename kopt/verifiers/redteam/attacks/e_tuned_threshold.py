# number: 36
# source: top-k kernels with a threshold fitted to Gaussians
# tries: looks only at what exceeds a threshold that Gaussians exceed often enough
# problem: top
# expect: wrong
# naive: passes
import torch


def run(x):
    return torch.topk(torch.where(x > 1.2, x, 0.0), 8, dim=1).values
