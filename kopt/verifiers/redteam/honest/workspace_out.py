# habit: module-level scratch kept between calls, out= variants, the result fresh in every call
# problem: silu
import torch

scratch = torch.empty(0)


def run(x):
    scratch.resize_(x.shape)
    torch.sigmoid(x, out=scratch)
    return torch.mul(x, scratch)
