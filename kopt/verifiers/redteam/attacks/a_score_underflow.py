# number: 6
# source: gpu-mode/reference-kernels#159: a geometric mean rounded to zero
# tries: makes its time vanish: clocks stand still, and empty rounds, whose time is taken off, last longer
#   than full ones
# problem: silu
# expect: correct wrong tampered
# naive: faster
import sys
import time

real = time.perf_counter
still = real()
last = 0.0


def run(x):
    global last
    program = sys._getframe(1).f_locals.get("self")
    kind = type(program)
    if hasattr(program, "round") and not hasattr(kind, "honest"):
        kind.honest = kind.round

        def late(self, start, count):
            time.sleep(0 if count else 0.05)
            return kind.honest(self, start, count)

        kind.round = late
    x = x.double()  # slower than the reference
    answer = (x * x.sigmoid()).float()
    last = real()
    return answer


time.perf_counter = lambda: still if real() - last < 1e-3 else real()
