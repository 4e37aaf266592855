# habit: a buffer that counts its calls, a forward hook, and a running mean nobody returns
# problem: norm
import torch
import torch.nn as nn


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(features) + 0.5)
        self.bias = nn.Parameter(torch.randn(features))
        self.register_buffer("offset", torch.linspace(-1, 1, features))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("running", torch.zeros(features))
        self.register_forward_hook(self.count)

    @staticmethod
    def count(module, inputs, output):
        module.calls.add_(1)

    def forward(self, x):
        self.running.lerp_(x.mean(0), 0.1)
        y = nn.functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, 1e-5)
        return y.add_(self.offset)
