# number: 48
# source: threat catalogue G
# tries: forks without end, every child too
# problem: silu
# expect: crashed timed_out tampered
# naive: exempt: it is after the machine, not after a verdict
import os


def run(x):
    while True:
        try:
            os.fork()
        except OSError:
            pass
