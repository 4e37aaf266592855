# habit: one row to a program, two passes, parameters by module
# problem: norm
import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def kernel(x, weight, bias, offset, y, n, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    on = at < n
    v = tl.load(x + row * n + at, mask=on, other=0.0)
    mean = tl.sum(v, 0) / n
    centred = tl.where(on, v - mean, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 0) / n + 1e-5)
    w = tl.load(weight + at, mask=on)
    b = tl.load(bias + at, mask=on)
    o = tl.load(offset + at, mask=on)
    tl.store(y + row * n + at, centred * scale * w + b + o, mask=on)


class ModelNew(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(features) + 0.5)
        self.bias = nn.Parameter(torch.randn(features))
        self.register_buffer("offset", torch.linspace(-1, 1, features))

    def forward(self, x):
        y = torch.empty_like(x)
        n = x.shape[-1]
        kernel[(x.shape[0],)](x, self.weight, self.bias, self.offset, y, n, BLOCK=triton.next_power_of_2(n))
        return y
