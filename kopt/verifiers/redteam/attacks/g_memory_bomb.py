# number: 48
# source: threat catalogue G
# tries: takes all memory there is: in its own process, in children, in anonymous files and in shared memory
# problem: silu
# expect: crashed timed_out
# naive: exempt: it is after the machine, not after a verdict
import os

import torch

kept = []


def run(x):
    for number in range(6):
        if not os.fork():
            break
    fd = os.memfd_create("more")
    while True:
        try:
            kept.append(torch.ones(1 << 24))
        except (RuntimeError, MemoryError):
            try:
                os.write(fd, b"x" * (1 << 24))
            except OSError:
                fd = os.memfd_create("more")
