# number: 16
# source: SOL-ExecBench, reproduced
# tries: prints a record of success while it is imported and ends the process with status 0
# problem: silu
# expect: crashed
# naive: passes
import os

print("PASSED 99.0", flush=True)
os._exit(0)


def run(x):
    return x
