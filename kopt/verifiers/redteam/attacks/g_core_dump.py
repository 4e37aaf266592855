# number: 48
# source: threat catalogue G; core(5): dumps piped to a program ignore most limits
# tries: has the kernel write out gigabytes of its memory: raises the limit, or lowers it to where it is ignored; dies
# problem: silu
# expect: crashed
# naive: exempt: it is after the machine, not after a verdict
import ctypes
import os
import resource

import torch

ballast = torch.ones(1 << 27)
told = []
for limit in ((resource.RLIM_INFINITY,) * 2, (0, 0), (0, 1)):
    try:
        resource.setrlimit(resource.RLIMIT_CORE, limit)
        told.append("got through: @TOKEN@")
    except (OSError, ValueError):
        pass
ctypes.CDLL(None).prctl(15, b"@TOKEN@", 0, 0, 0)
os.chdir(os.environ["TMPDIR"])
print(told, flush=True)
os.abort()


def run(x):
    return x
