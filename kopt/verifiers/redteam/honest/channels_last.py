# habit: channels_last inside, the reference's layout outside
# problem: conv
import torch
import torch.nn as nn


class ModelNew(nn.Module):
    def __init__(self, channels, filters):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 3, padding=1)

    def forward(self, x):
        y = nn.functional.conv2d(
            x.contiguous(memory_format=torch.channels_last),
            self.conv.weight.contiguous(memory_format=torch.channels_last),
            self.conv.bias,
            padding=1,
        )
        return y.relu_().contiguous()
