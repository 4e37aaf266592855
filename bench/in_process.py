"""The in-process clock that the judge's is compared with: trusted code, no judge, the same ring of memory.

Run as a script by :mod:`bench.clock`: ``in_process.py ARTIFACT SLOTS ELEMENTS``. For every line ``N`` on its standard
input it calls the kernel on the first N slots and prints the seconds per call by its own ``perf_counter``.
"""

from __future__ import annotations

import mmap
import os
import sys
import time

import torch
import tvm_ffi

artifact, slots, elements = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(len(os.sched_getaffinity(0)))
kernel = tvm_ffi.load_module(artifact)["run"]
size = -(-elements * 4 // 4096) * 4096
fd = os.memfd_create("ring")
os.ftruncate(fd, 2 * slots * size)
ring = torch.frombuffer(mmap.mmap(fd, 2 * slots * size), dtype=torch.float32)
calls = [
    (ring[2 * k * size // 4 :][:elements], ring[(2 * k + 1) * size // 4 :][:elements]) for k in range(slots)
]
for x, y in calls:
    x.normal_()
    y.zero_()
calls = [tuple(tvm_ffi.from_dlpack(t) for t in pair) for pair in calls]
other = torch.ones(2 * (32 << 20) // 8, dtype=torch.float64)
for line in sys.stdin:
    count = int(line)
    other.sum()  # as the judge does: no call finds its data in a cache
    start = time.perf_counter_ns()
    for x, y in calls[:count]:
        kernel(x, y)
    print((time.perf_counter_ns() - start) / 1e9 / count, flush=True)
