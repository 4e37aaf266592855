"""Every row of the output holds one value."""

import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x):
        return x.mean(1, keepdim=True).expand_as(x).contiguous()


def get_inputs():
    return [torch.randn(128, 512)]


def get_init_inputs():
    return []
