"""A matrix product."""

import torch
import torch.nn as nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(256, 256)

    def forward(self, x):
        return self.linear(x)


def get_inputs():
    return [torch.randn(128, 256)]


def get_init_inputs():
    return []
