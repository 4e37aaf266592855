# number: 49 52
# source: threat catalogue G; daemons
# tries: leaves processes that have a session of their own, are deaf to signals and hold its output open
# problem: silu
# expect: crashed
# naive: exempt: it stays, it wants no verdict
import ctypes
import os
import signal
import time

for number in range(20):
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        ctypes.CDLL(None).prctl(15, b"@TOKEN@", 0, 0, 0)
        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        while True:
            time.sleep(0.001)
            os.write(1, b"still here")
time.sleep(0.2)
raise RuntimeError("they stay")


def run(x):
    return x
