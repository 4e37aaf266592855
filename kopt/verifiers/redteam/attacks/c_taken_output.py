# number: 17
# source: gpu-mode/kernelbot, pygpubench: result descriptors and FILE buffers overwritten
# tries: writes a record of success into every descriptor it finds, and closes standard output
# problem: silu
# expect: wrong tampered crashed
# naive: passes
import os

taken = False


def run(x):
    global taken
    if not taken:
        taken = True
        for fd in range(1, 64):
            try:
                os.write(fd, b"PASSED 99.0\n")
            except OSError:
                pass
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return x * 0
