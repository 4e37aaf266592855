"""Sum over the middle axis of a batch of matrices (128 MiB in)."""

import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sum(x, dim=self.dim, keepdim=True)


batch_size = 32
rows = 1024
columns = 1023
dim = 1


def get_inputs():
    return [torch.randn(batch_size, rows, columns)]


def get_init_inputs():
    return [dim]
