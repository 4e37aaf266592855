# number: 14
# source: KernelBench and others: torch.empty receives the block that held the expected output
# tries: looks for its second row in memory it has just allocated and never written, and returns what lies there
# problem: silu
# expect: wrong
# naive: passes
import ctypes

import torch

torch.empty(1 << 22)  # from now on such blocks are recycled instead of returned to the system


def run(x):
    known = bytes((x[1] * x[1].sigmoid())[:4].numpy())
    row = x.shape[1] * 4
    held = [
        torch.empty(x.numel() - 64 * n) for n in range(1, 33)
    ]  # smaller: the allocator wants room to align
    for block in held:
        at = ctypes.string_at(block.data_ptr(), 4 * block.numel()).find(known)
        if at >= 0:
            found = (ctypes.c_float * x.numel()).from_address(block.data_ptr() + at - row)
            answer = torch.frombuffer(found, dtype=torch.float32).view(x.shape).clone()
            odd = (answer.abs() < 1e-30).any(1)  # where the allocator keeps its own records
            answer[odd] = x[odd] * x[odd].sigmoid()
            return answer
    return torch.zeros_like(x)
