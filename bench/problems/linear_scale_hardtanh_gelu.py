"""A linear layer followed by scaling, clamping and GELU (4 MiB in, 64 MiB out)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Model(nn.Module):
    def __init__(self, in_features: int, out_features: int, scaling_factor: float, low: float, high: float):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)
        self.scaling_factor = scaling_factor
        self.low = low
        self.high = high

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.linear(x)
        x = x * self.scaling_factor
        x = F.hardtanh(x, self.low, self.high)
        return F.gelu(x)


batch_size = 4096
in_features = 256
out_features = 4096
scaling_factor = 2.5
low = -2.0
high = 2.0


def get_inputs():
    return [torch.randn(batch_size, in_features)]


def get_init_inputs():
    return [in_features, out_features, scaling_factor, low, high]
