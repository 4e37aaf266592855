# number: -
# source: invented: the answer stops the clock a moment before the judge stops the process
# tries: answers the round itself while the last rows of the last slot are missing, swallows the second answer, and
#   finishes before it is stopped
# problem: silu
# expect: tampered wrong correct
# naive: exempt: its target is the protocol between judge and runner
import os
import struct
import sys

calls = 0


class Once:
    """Stands for the frame of an answer, and packs nothing, once."""

    def __init__(self, space):
        self.space, self.real = space, space["ANSWER"]

    def pack(self, *_):
        self.space["ANSWER"] = self.real
        return b""


def run_into(x, out):
    global calls
    calls += 1
    frame = sys._getframe(1)
    mine = frame.f_locals.get("calls")
    last = bool(mine) and out is mine[-1][1][-1]
    while frame is not None and not ("nonce" in frame.f_locals and "link" in frame.f_locals):
        frame = frame.f_back
    y = x * x.sigmoid()
    out[:384] = y[:384]
    if calls > 60 and last and frame is not None:
        frame.f_globals["ANSWER"], link = Once(frame.f_globals), frame.f_locals["link"]
        os.write(link.fileno(), struct.pack("<QII", frame.f_locals["nonce"], 0, 0))
    for row in range(384, 512, 8):
        out[row : row + 8] = y[row : row + 8]
