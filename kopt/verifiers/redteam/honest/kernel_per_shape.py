# habit: a compiled kernel kept for each shape (functools.cache on code, never on values)
# problem: silu
import functools

import torch


@functools.cache
def kernel(shape, dtype):
    def plain(x):
        return x * torch.sigmoid(x)

    return torch.jit.trace(plain, torch.zeros(shape, dtype=dtype))


def run(x):
    return kernel(tuple(x.shape), x.dtype)(x)
