"""Each element with its right neighbour; the last has none."""

import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x):
        return x + torch.cat([x[1:], x[:1] * 0])


def get_inputs():
    return [torch.randn(65536)]


def get_init_inputs():
    return []
