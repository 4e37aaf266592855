"""Mean over the last axis of a matrix (128 MiB in)."""

import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.mean(x, dim=self.dim)


batch_size = 4096
features = 8191
dim = -1


def get_inputs():
    return [torch.randn(batch_size, features)]


def get_init_inputs():
    return [dim]
