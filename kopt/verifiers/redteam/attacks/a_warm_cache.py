# number: 9
# source: llm.c#851, nvbench#458: cache contents that survive a flush; on a CPU, a thread that keeps reading
# tries: a thread reads all inputs again and again, so that they are in the cache when the clock starts
# problem: silu
# expect: correct
# naive: exempt: a naive checker times warm inputs anyway
import gc
import threading
import time

import torch

found = []


def keep_warm():
    while True:
        for tensor in found:
            tensor.sum()
        time.sleep(0)


def run(x):
    if not found:
        found.extend(t for t in gc.get_objects() if isinstance(t, torch.Tensor) and t.shape == x.shape)
        threading.Thread(target=keep_warm, daemon=True).start()
    x = x.double()  # slower than the reference
    return (x * x.sigmoid()).float()
