"""Largest value over the outermost axis (128 MiB in)."""

import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.max(x, dim=self.dim)[0]


samples = 512
rows = 64
columns = 1024
dim = 0


def get_inputs():
    return [torch.randn(samples, rows, columns)]


def get_init_inputs():
    return [dim]
