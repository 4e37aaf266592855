"""The work is a loop over a constant of the module."""

import torch
import torch.nn as nn

STEPS = 4


class Model(nn.Module):
    def forward(self, x):
        for _ in range(STEPS):
            x = 0.5 * x + torch.sin(x)
        return x


def get_inputs():
    return [torch.randn(128, 256)]


def get_init_inputs():
    return []
