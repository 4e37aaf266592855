# habit: parameters under names of its own, drawn in the reference's order from the reference's seed
# problem: linear
import torch
import torch.nn as nn


class ModelNew(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        drawn = nn.Linear(inputs, outputs)
        self.matrix = nn.Parameter(drawn.weight.detach().clone())
        self.shift = nn.Parameter(drawn.bias.detach().clone())

    def forward(self, x):
        return torch.einsum("ri,oi->ro", x, self.matrix).add_(self.shift).clamp_min_(0)
