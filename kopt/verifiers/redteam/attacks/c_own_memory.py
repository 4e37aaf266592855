# number: 21
# source: pygpubench: /proc/self/mem ignores page protection
# tries: zeroes the expected values through /proc/self/mem, and answers zero
# problem: silu
# expect: wrong crashed
# naive: passes
import gc

import torch


def run(x):
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        for thing in gc.get_objects():
            if type(thing) is torch.Tensor and thing.shape == x.shape and thing.dtype is torch.float64:
                memory.seek(thing.data_ptr())
                memory.write(bytes(thing.nbytes))
    return torch.zeros_like(x)
