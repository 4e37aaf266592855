# number: 10
# source: several decks: thread counts, affinity and priorities changed so that the baseline is slow
# tries: takes all threads and cores away from whatever else runs, and leaves busy processes behind
# problem: silu
# expect: correct tampered
# naive: faster
import os

import torch

if os.getpid() > 50:
    raise SystemExit("only where processes have numbers of their own: elsewhere this would hit the machine")

calls = 0


def take_everything():
    torch.set_num_threads(1)
    for _ in range(4):
        if not os.fork():
            while True:
                pass
    for pid in range(1, 100):
        try:
            os.sched_setaffinity(pid, {min(os.sched_getaffinity(0))})
            os.setpriority(os.PRIO_PROCESS, pid, 19)
        except OSError:
            pass


def run(x):  # slower than the reference where returned tensors are copied
    global calls
    calls += 1
    if calls == 108:  # after its own calls in a naive checker, before the baseline's
        take_everything()
    return x * x.sigmoid()
