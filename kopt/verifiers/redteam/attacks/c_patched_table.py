# number: 20
# source: pygpubench: GOT patches of libcudart; here of libc, without touching its code
# tries: replaces clock_gettime in the table through which the interpreter calls it, so that its clocks stand still
# problem: silu
# expect: correct crashed wrong tampered timed_out
# naive: faster
import ctypes

libc, hidden, calls = ctypes.CDLL(None), 0, 0


def now():
    time = (ctypes.c_long * 2)()
    libc.syscall(228, 1, time)  # clock_gettime, past libc
    return time[0] * 10**9 + time[1]


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_long))
def slow_clock(_, time):
    time[0], time[1] = divmod(now() - hidden, 10**9)
    return 0


def patch():
    real, mine = (ctypes.cast(f, ctypes.c_void_p).value for f in (libc.clock_gettime, slow_clock))
    for line in open("/proc/self/maps").readlines():
        low, high = (int(word, 16) for word in line.split()[0].split("-"))
        if " r" in line and ("libpython" in line or "/bin/python" in line):
            at = ctypes.string_at(low, high - low).find(real.to_bytes(8, "little"))
            if at >= 0 and libc.mprotect(ctypes.c_void_p(low + at & ~4095), 4096, 3) == 0:
                ctypes.c_size_t.from_address(low + at).value = mine


def run(x):
    global calls, hidden
    start, calls = now(), calls + 1
    patch() if calls == 6 else None
    answer = (x.double() * x.double().sigmoid()).float()  # slower than the reference
    hidden += now() - start
    return answer
