# number: 34
# source: default parameters of normalisations: ones and zeros
# tries: leaves out weight and bias, which ones and zeros do not show
# problem: layer_norm
# expect: wrong
# naive: passes
import torch


class ModelNew(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.layer_norm(x, x.shape[-1:])
