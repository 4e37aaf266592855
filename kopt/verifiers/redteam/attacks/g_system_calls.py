# number: 50
# source: threat catalogue G; io_uring and bpf advisories
# tries: the system calls that kernel exploits begin with, by their usual and by their 32-bit-extended numbers
# problem: silu
# expect: crashed
# naive: exempt: it is after the machine, not after a verdict
import ctypes
import os

SAY = "got through: @TOKEN@"

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.argtypes = [ctypes.c_long] * 7
buffer = ctypes.addressof(ctypes.create_string_buffer(4096))
word = ctypes.addressof(ctypes.create_string_buffer(b"@TOKEN@"))
kind = ctypes.addressof(ctypes.create_string_buffer(b"user"))
CALLS = {
    "add_key": (248, kind, word, word, 4, -4), "keyctl": (250, 0, -3, 1), "request_key": (249, kind, word, 0, -4),
    "io_uring": (425, 8, buffer), "bpf": (321, 0, buffer, 120), "userfaultfd": (323, 1),
    "perf": (298, buffer, 0, -1, -1, 0),
    "personality": (135, 0x0040000), "kexec": (246, 0, 0, 0, 0), "module": (175, buffer, 8, word),
    "finit_module": (313, 3, word, 0), "iopl": (172, 3), "ioperm": (173, 0, 4, 1),
    "hostname": (170, word, 4), "ldt": (154, 1, buffer, 16), "fanotify": (300, 0, 0),
    "TIOCSTI": (16, 0, 0x5412, word), "TIOCLINUX": (16, 0, 0x541C, word), "sti high": (16, 0, 1 << 32 | 0x5412, word),
    "seals high": (72, os.memfd_create("own", 2), 1 << 32 | 1033, 1), "syslog": (103, 3, buffer, 4096),
    "tipc pair": (53, 30, 1, 0, buffer), "pidfd": (434, 1, 0),
    "kcmp": (312, 1, 1, 0, 0, 0), "quotactl": (179, 0, 0, 0, buffer),
}  # fmt: skip
through = []
for name, arguments in CALLS.items():
    for number in (arguments[0], arguments[0] | 1 << 32):
        if libc.syscall(number, *arguments[1:], *[0] * (7 - len(arguments))) >= 0:
            through.append(name)
raise RuntimeError(f"{through} {SAY if through else ''}")


def run(x):
    return x
