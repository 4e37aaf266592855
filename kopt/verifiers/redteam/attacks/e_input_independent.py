# number: 34
# source: KernelBench L2/9, 23, 36, 38, 42, 65, 80, 83
# tries: never looks at its input: the mean of what was just normalised is zero
# problem: collapsed
# expect: wrong
# naive: passes
import torch


class ModelNew(torch.nn.Module):
    def forward(self, x):
        return torch.zeros(x.shape[0])
