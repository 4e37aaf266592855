"""A small problem for measuring what judging costs, not what kernels gain."""

import torch
import torch.nn as nn

ROWS = 256
COLUMNS = 1024


class Model(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


def get_inputs():
    return [torch.randn(ROWS, COLUMNS)]


def get_init_inputs():
    return []
