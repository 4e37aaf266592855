# habit: returns a view of a fresh tensor; the memory behind it is larger
# problem: strided
import torch


def run(x):
    whole = torch.empty(x.shape[1], x.shape[0]).t()
    torch.tanh(x, out=whole)
    return whole[:, ::2]
