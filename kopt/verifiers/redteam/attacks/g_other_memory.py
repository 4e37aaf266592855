# number: 21 45 50
# source: pygpubench; threat catalogue C and G
# tries: reads and changes the memory of the judge, the zygote and its siblings: ptrace, process_vm, /proc/PID/mem
# problem: silu
# expect: crashed
# naive: exempt: it is after other processes, not after a verdict
import ctypes
import os

SAY = "got through: @TOKEN@"

libc = ctypes.CDLL(None, use_errno=True)
word = ctypes.create_string_buffer(b"owned", 8)
here = (ctypes.c_size_t * 2)(ctypes.addressof(word), 8)
there = (ctypes.c_size_t * 2)(0x400000, 8)
child = os.fork()
if not child:
    while True:
        pass
hit = []
for pid in [0, os.getppid(), *range(2, 5000)]:
    if pid == child or os.path.exists(f"/proc/self/task/{pid}"):
        continue
    for name, number, arguments in (
        ("attach", 101, (16, pid, 0, 0)),
        ("seize", 101, (0x4206, pid, 0, 0)),
        ("write", 311, (pid, here, 1, there, 1, 0)),
        ("read", 310, (pid, here, 1, there, 1, 0)),
    ):
        if libc.syscall(number, *arguments) >= 0:
            hit.append((name, pid))
    for path in (f"/proc/{pid}/mem", f"/proc/{pid}/maps", f"/proc/self/../{pid}/root"):
        if os.path.exists(path):
            hit.append(path)
raise RuntimeError(f"reached {hit} {SAY if hit else ''}")


def run(x):
    return x
