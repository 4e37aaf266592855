# number: 4
# source: several decks: perf_counter, do_bench and events replaced
# tries: replaces every clock of Python by one that stands still during its own calls
# problem: silu
# expect: correct
# naive: faster
import time

hidden = 0.0
real = time.perf_counter


def run(x):
    global hidden
    start = real()
    x = x.double()  # slower than the reference
    answer = (x * x.sigmoid()).float()
    hidden += real() - start
    return answer


time.perf_counter = time.time = time.monotonic = lambda: real() - hidden
time.perf_counter_ns = time.monotonic_ns = time.time_ns = lambda: int((real() - hidden) * 1e9)
