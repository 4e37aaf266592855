# number: 47 52
# source: threat catalogue G
# tries: leaves shared memory, message queues and semaphores of every kind behind
# problem: silu
# expect: crashed
# naive: exempt: it leaves things behind, it wants no verdict
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
told = [libc.shmget(int("@KEY@"), 1 << 20, 0o1666), libc.msgget(int("@KEY@"), 0o1666)]
told += [libc.semget(int("@KEY@"), 4, 0o1666), libc.mq_open(b"/@TOKEN@", 0o102, 0o666, None)]
for path in ("/dev/shm/@TOKEN@", "/dev/mqueue/@TOKEN@", "/dev/hugepages/@TOKEN@"):
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR))
        told.append(path)
    except OSError as error:
        told.append(error.errno)
told.append(os.memfd_create("@TOKEN@"))
raise RuntimeError(f"made {told}")


def run(x):
    return x
