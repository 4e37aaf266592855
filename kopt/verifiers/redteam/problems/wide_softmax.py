"""Values so small that an absolute tolerance takes zeros for them."""

import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x):
        return torch.softmax(x, dim=1)


def get_inputs():
    return [torch.randn(16, 8192)]


def get_init_inputs():
    return []
