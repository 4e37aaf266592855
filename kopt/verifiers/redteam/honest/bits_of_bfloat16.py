# habit: bfloat16 widened by shifting its bits, in integer views
# problem: gate
import torch


def wide(x):
    return (x.view(torch.int16).to(torch.int32) << 16).view(torch.float32)


def run_into(a, b, y):
    v = wide(a)
    y.copy_(v.sigmoid().mul_(v).mul_(wide(b)))
