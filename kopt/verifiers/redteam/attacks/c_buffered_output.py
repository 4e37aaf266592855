# number: 17
# source: pygpubench: text in FILE* buffers outlives whatever a judge does with descriptors
# tries: leaves a record of success in libc's buffer of standard output, which is written when the process ends
# problem: silu
# expect: wrong
# naive: passes quiet
import ctypes

libc = ctypes.CDLL(None)


def run(x):
    libc.printf(b"\nPASSED 99.0\n")
    return x * 0
