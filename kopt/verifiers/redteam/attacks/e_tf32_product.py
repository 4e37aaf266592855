# number: 38
# source: TF32 where float32 was asked for
# tries: drops 13 bits of every factor, as TF32 does, and sums in float32
# problem: linear
# expect: wrong
# naive: passes
import torch


def rounded(x):
    return ((x.view(torch.int32) + 0x1000) & -0x2000).view(torch.float32)


class ModelNew(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(256, 256)

    def forward(self, x):
        return rounded(x) @ rounded(self.linear.weight).t() + self.linear.bias
