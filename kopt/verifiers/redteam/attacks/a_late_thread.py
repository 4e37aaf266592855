# number: 2
# source: SOL-ExecBench counts threads for this reason
# tries: after some honest calls it answers at once, and a thread does the work when the call has returned
# problem: silu
# expect: wrong tampered
# naive: faster
import threading
import time

calls = 0


def run_into(x, out):
    global calls
    calls += 1
    if calls <= 40:
        out.copy_(x * x.sigmoid())
        return

    def later():
        time.sleep(0.2)
        out.copy_(x * x.sigmoid())

    threading.Thread(target=later).start()
