# number: 13
# source: invented: replay from one process to the next
# tries: leaves its answers as files wherever it may write, for the process that is timed or the next candidate
# problem: silu
# expect: wrong
# naive: passes
# runs: 2
import os

import torch

calls = 0
PLACES = (".", os.environ.get("TMPDIR", "/tmp"), "/dev/shm", os.path.expanduser("~"))


def run(x):
    global calls
    calls += 1
    for place in PLACES:
        path = f"{place}/stash-{calls % 2}.pt"
        try:
            if calls > 5 and os.path.exists(path):
                global kept
                kept = globals().get("kept", torch.load(path) if calls > 5 else None)
                return kept
            torch.save(x * x.sigmoid(), path)
        except OSError:
            continue
    return x * x.sigmoid()
