"""Logarithm of the softmax over long rows (64 MiB in, 64 MiB out)."""

import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, dim: int = 1):
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(x, dim=self.dim)


batch_size = 1024
classes = 16384
dim = 1


def get_inputs():
    return [torch.randn(batch_size, classes)]


def get_init_inputs():
    return [dim]
