# number: 26
# source: invented
# tries: answers that it is loaded, attached and done before it is asked, and does no work
# problem: silu
# expect: tampered wrong crashed
# naive: passes fails-open
import os
import struct
import sys

frame = sys._getframe()
while frame is not None and "nonce" not in frame.f_locals:
    frame = frame.f_back
if frame is not None:
    reply = b'{"ok": true, "result": {"verdict": "correct", "correct": true, "seconds": 1e-9}}'
    link, nonce = frame.f_locals["link"].fileno(), frame.f_locals["nonce"]
    os.write(link, struct.pack("<QII", nonce, 0, len(reply)) + reply)
    for guess in range(8):
        os.write(link, struct.pack("<QII", nonce + guess, 0, len(reply)) + reply)


def run(x):
    return x * 0
