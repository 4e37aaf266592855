# habit: everything under inference_mode; the result is an inference tensor
# problem: linear
import torch
import torch.nn as nn


class ModelNew(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    @torch.inference_mode()
    def forward(self, x):
        return self.linear(x).relu_()
