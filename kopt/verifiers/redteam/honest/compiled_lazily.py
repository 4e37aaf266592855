# habit: torch.compile inside, the first time it is called
# problem: norm
import functools

import torch
import torch.nn as nn


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(features) + 0.5)
        self.bias = nn.Parameter(torch.randn(features))
        self.register_buffer("offset", torch.linspace(-1, 1, features))

    @functools.cached_property
    def compiled(self):
        return torch.compile(self.plain, dynamic=False)

    def plain(self, x):
        y = nn.functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, 1e-5)
        return y + self.offset

    def forward(self, x):
        return self.compiled(x)
