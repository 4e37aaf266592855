"""Few inputs, many outputs: a round of it is short to prepare, so that many trials fit in little time."""

import torch
import torch.nn as nn

ROWS = 2048
COLUMNS = 1024


class Model(nn.Module):
    def forward(self, a, b):
        return torch.relu(a[:, None] + b)


def get_inputs():
    return [torch.randn(ROWS), torch.randn(COLUMNS)]


def get_init_inputs():
    return []
