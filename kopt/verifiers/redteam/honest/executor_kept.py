# habit: an executor kept alive between calls; every future is collected in its call
# problem: silu
from concurrent.futures import ThreadPoolExecutor

import torch

pool = ThreadPoolExecutor(2)


def part(x, y):
    torch.sigmoid(x, out=y)
    y *= x


def run(x):
    y = torch.empty_like(x)
    for future in [pool.submit(part, a, b) for a, b in zip(x.chunk(2), y.chunk(2), strict=True)]:
        future.result()
    return y
