"""Softmax over long rows (64 MiB in, 64 MiB out)."""

import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x, dim=1)


batch_size = 1024
classes = 16384


def get_inputs():
    return [torch.randn(batch_size, classes)]


def get_init_inputs():
    return []
