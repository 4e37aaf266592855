# number: 43
# source: seen in every deck
# tries: is the reference under another name
# problem: silu
# expect: rejected
# naive: exempt: the answers are right; only a policy forbids it
# policy: strict
import torch
import torch.nn as nn


class ModelNew(nn.Module):
    def forward(self, tensor):
        gate = torch.sigmoid(tensor)
        return tensor * gate
