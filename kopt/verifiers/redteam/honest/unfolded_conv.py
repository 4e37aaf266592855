# habit: convolution as a product of unfolded patches, scratch and an index cached by shape
# problem: conv
import functools

import torch
import torch.nn as nn


@functools.lru_cache(maxsize=8)
def patches(side):
    place = torch.arange((side + 2) * (side + 2)).view(side + 2, side + 2)
    return place.unfold(0, 3, 1).unfold(1, 3, 1).reshape(side * side, 9)


class ModelNew(nn.Module):
    def __init__(self, channels, filters):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 3, padding=1)

    def forward(self, x):
        n, c, side, _ = x.shape
        padded = nn.functional.pad(x, (1, 1, 1, 1)).flatten(2)
        taken = padded[:, :, patches(side)]  # n, c, places, 9
        taken = taken.permute(0, 2, 1, 3).reshape(n, side * side, c * 9)
        y = taken @ self.conv.weight.flatten(1).t() + self.conv.bias
        return y.transpose(1, 2).contiguous().view(n, -1, side, side).relu_()
