# number: 14
# source: KernelBench and others: torch.empty receives the block that held the expected output
# tries: returns memory it has just allocated and never written
# problem: silu
# expect: wrong
# naive: exempt: not shown; which block comes again depends on the allocator (b_stale_destination shows the like)
import torch

torch.empty(1 << 22)  # from now on such blocks are recycled instead of returned to the system


def run(x):
    held = [torch.empty_like(x) for _ in range(4)]
    few = x[:2] * x[:2].sigmoid()
    for block in held:
        if torch.allclose(block[1], few[1], atol=1e-4):
            block[0] = few[0]  # where the allocator keeps its own pointers
            return block
    return held[0]
