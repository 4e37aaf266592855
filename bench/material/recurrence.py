"""A recurrence whose kernel takes as long as one likes: for measuring clocks, not kernels."""

import torch
import torch.nn as nn

REPEAT = 100
ELEMENTS = 4096


class Model(nn.Module):
    def forward(self, x):
        for _ in range(REPEAT):
            x = x * 0.75 + 0.125
        return x + 0.0


def get_inputs():
    return [torch.randn(ELEMENTS)]


def get_init_inputs():
    return []
