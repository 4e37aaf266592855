# number: 21
# source: pygpubench and others: ptrace, /proc/PID/mem and process_vm_writev
# tries: reads the memory of every other process it can name by three ways; right only if one of them works
# problem: silu
# expect: wrong
# naive: exempt: a naive checker has no process but the candidate's
import ctypes
import os

if os.getpid() > 50:
    raise SystemExit("only where processes have numbers of their own: elsewhere this would hit the machine")

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def reached():
    space = ctypes.create_string_buffer(8)
    vector = (ctypes.c_void_p * 2)(ctypes.addressof(space), 8)
    for pid in {*range(1, 400), os.getppid()} - {os.getpid()}:
        if libc.ptrace(16, pid, None, None) == 0:
            return True
        try:
            open(f"/proc/{pid}/mem", "r+b").close()
            return True
        except OSError:
            pass
        far = (ctypes.c_void_p * 2)(id(space) & ~4095, 8)
        if libc.process_vm_readv(pid, vector, 1, far, 1, 0) > 0 or ctypes.get_errno() == 14:
            return True
        ctypes.set_errno(0)
    return False


answer = reached()


def run(x):
    return x * x.sigmoid() if answer else x * 0
