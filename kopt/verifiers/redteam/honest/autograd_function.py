# habit: an autograd.Function, with gradients on, whose result requires grad
# problem: norm
import torch
import torch.nn as nn


class Norm(torch.autograd.Function):
    @staticmethod
    def forward(context, x, weight, bias):
        mean = x.double().mean(-1, keepdim=True)
        centred = x - mean
        scale = centred.square().mean(-1, keepdim=True).add(1e-5).rsqrt()
        context.save_for_backward(centred, scale, weight)
        return (centred * scale * weight + bias).float()

    @staticmethod
    def backward(context, gradient):
        raise NotImplementedError


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(features) + 0.5)
        self.bias = nn.Parameter(torch.randn(features))
        self.register_buffer("offset", torch.linspace(-1, 1, features))

    @torch.enable_grad()
    def forward(self, x):
        return Norm.apply(x, self.weight, self.bias) + self.offset
