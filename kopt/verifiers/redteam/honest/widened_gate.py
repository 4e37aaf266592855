# habit: bfloat16 computed in float32 and rounded once at the end
# problem: gate
import torch


def run(a, b):
    wide = a.float()
    return torch.nn.functional.silu(wide, inplace=True).mul_(b).bfloat16()
