# number: 9
# source: llm.c#851, nvbench#458: cache contents that survive a flush; on a CPU, a thread that keeps reading
# tries: a thread reads all inputs again and again, so that they are in the cache when the clock starts
# problem: column_sum
# expect: correct
# naive: faster evicts
import sys
import threading
import time

import torch

seen, called, busy = {}, 0.0, False
sys.setswitchinterval(1e-5)


def keep_warm():
    torch.set_num_threads(1)
    while True:
        for tensor in list(seen.values()):
            if not busy and time.monotonic() < called + 0.1:  # the next one shall have it cold
                tensor.view(-1)[::16].sum()
        time.sleep(2e-5)


def run(x):
    global called, busy
    busy = True
    if not seen:
        threading.Thread(target=keep_warm, daemon=True).start()
    seen[x.data_ptr()] = x
    result = x.sum(0) + 0 * x[:1024].sum(0)  # a little slower than the reference
    called, busy = time.monotonic(), False
    return result
