# habit: destination style, the output written by out= and in place
# problem: silu
import torch


def run_into(x, y):
    torch.sigmoid(x, out=y)
    y.mul_(x)
