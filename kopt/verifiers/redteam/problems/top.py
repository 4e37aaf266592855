"""The largest of many Gaussians."""

import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x):
        return torch.topk(x, 8, dim=1).values


def get_inputs():
    return [torch.randn(64, 2048)]


def get_init_inputs():
    return []
