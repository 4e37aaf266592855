# habit: several Python files, one imported when it is first needed
# problem: norm
import torch
import torch.nn as nn


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(features) + 0.5)
        self.bias = nn.Parameter(torch.randn(features))
        self.register_buffer("offset", torch.linspace(-1, 1, features))

    def forward(self, x):
        from parts.rows import centred

        y, scale = centred(x)
        return torch.addcmul(self.bias, y.mul_(scale), self.weight).add_(self.offset)
