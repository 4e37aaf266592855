# number: 18
# source: pygpubench: expected values poisoned with NaN
# tries: fills what it finds of the expected values with NaN, and answers NaN
# problem: silu
# expect: wrong
# naive: passes
import sys


def run(x):
    frame = sys._getframe(1)
    while frame is not None:
        for name in ("expected", "reference", "truth"):
            if hasattr(frame.f_locals.get(name), "fill_"):
                frame.f_locals[name].fill_(float("nan"))
        frame = frame.f_back
    return x * float("nan")
