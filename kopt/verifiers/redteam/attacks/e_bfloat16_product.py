# number: 38
# source: several decks with wide tolerances
# tries: multiplies matrices in bfloat16
# problem: linear
# expect: wrong
# naive: passes
import torch


class ModelNew(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(256, 256)

    def forward(self, x):
        weight = self.linear.weight.bfloat16()
        return (x.bfloat16() @ weight.t()).float() + self.linear.bias
