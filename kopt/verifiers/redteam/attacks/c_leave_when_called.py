# number: 16
# source: SOL-ExecBench, reproduced
# tries: prints a record of success in its first call and ends the process with status 0
# problem: silu
# expect: crashed
# naive: passes
import os


def run(x):
    print("PASSED 99.0", flush=True)
    os._exit(0)
