# habit: torch.func.vmap over rows
# problem: softmax
import torch


def row(x):
    weights = torch.exp(x - x.max())
    return weights / weights.sum()


rows = torch.func.vmap(row)


def run(x):
    return rows(x.float()).to(x.dtype)
