# number: 20
# source: pygpubench: inline detours of libcudart; here of libc
# tries: overwrites the machine code of clock_gettime so that all clocks of its process stand still
# problem: silu
# expect: correct crashed wrong tampered timed_out
# naive: faster
import ctypes

libc = ctypes.CDLL(None)
hidden = calls = 0


def now():
    time = (ctypes.c_long * 2)()
    libc.syscall(228, 1, time)  # clock_gettime, past libc
    return time[0] * 10**9 + time[1]


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_long))
def slow_clock(_, time):
    time[0], time[1] = divmod(now() - hidden, 10**9)
    return 0


def detour():
    there = ctypes.cast(libc.clock_gettime, ctypes.c_void_p).value
    here = ctypes.cast(slow_clock, ctypes.c_void_p).value
    if libc.mprotect(ctypes.c_void_p(there & ~4095), 8192, 7) == 0:  # x86-64: mov rax, here; jmp rax
        ctypes.memmove(there, b"\x48\xb8" + here.to_bytes(8, "little") + b"\xff\xe0", 12)


def run(x):
    global calls, hidden
    start, calls = now(), calls + 1
    if calls == 6:
        detour()
    y = x.double()  # slower than the reference
    answer = (y * y.sigmoid()).float()
    hidden += now() - start
    return answer
