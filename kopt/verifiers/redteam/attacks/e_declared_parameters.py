# number: 34
# source: default parameters of normalisations: ones and zeros
# tries: has weight and bias, so that it looks right, and never reads them
# problem: layer_norm
# expect: wrong
# naive: passes
import torch


class ModelNew(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.LayerNorm(512)

    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        return centred * (centred.square().mean(-1, keepdim=True) + self.norm.eps).rsqrt()
