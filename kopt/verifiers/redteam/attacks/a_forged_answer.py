# number: -
# source: invented: the answer to a round is 16 bytes whose nonce lies in a frame
# tries: reads the nonce from its caller's frame, answers the round itself, and works on
# problem: silu
# expect: wrong tampered crashed
# naive: exempt: its target is the protocol between judge and runner
import os
import struct
import sys
import time

calls = 0


def run_into(x, out):
    global calls
    calls += 1
    frame = sys._getframe(1)
    while calls > 40 and frame is not None:
        if "nonce" in frame.f_locals and "link" in frame.f_locals:
            os.write(frame.f_locals["link"].fileno(), struct.pack("<QII", frame.f_locals["nonce"], 0, 0))
            time.sleep(0.001)
            break
        frame = frame.f_back
    out.copy_(x * x.sigmoid())
