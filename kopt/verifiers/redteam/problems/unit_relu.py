"""Its generator draws nothing that the operator would change, as several of KernelBench's do."""

import torch
import torch.nn as nn


class Model(nn.Module):
    def forward(self, x):
        return torch.relu(x)


def get_inputs():
    return [torch.rand(128, 512)]


def get_init_inputs():
    return []
