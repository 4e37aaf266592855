# habit: few programs that each take many rows, a block size from heuristics
# problem: softmax
import torch
import triton
import triton.language as tl


@triton.heuristics({"BLOCK": lambda given: triton.next_power_of_2(given["n"])})
@triton.jit
def kernel(x, y, rows, n, PROGRAMS: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    for row in range(tl.program_id(0), rows, PROGRAMS):
        v = tl.load(x + row * n + at, mask=at < n, other=float("-inf")).to(tl.float32)
        e = tl.exp(v - tl.max(v, 0))
        tl.store(y + row * n + at, (e / tl.sum(e, 0)).to(tl.float16), mask=at < n)


def run(x):
    y = torch.empty_like(x)
    kernel[(4,)](x, y, x.shape[0], x.shape[1], PROGRAMS=4)
    return y
