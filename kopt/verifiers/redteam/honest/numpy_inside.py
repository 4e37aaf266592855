# habit: the work is done by numpy, on views without copies
# problem: linear
import numpy as np
import torch
import torch.nn as nn


class ModelNew(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x):
        y = x.numpy() @ self.linear.weight.detach().numpy().T + self.linear.bias.detach().numpy()
        return torch.from_numpy(np.maximum(y, 0, out=y))
