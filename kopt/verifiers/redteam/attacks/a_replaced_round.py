# number: 5
# source: invented: the same for the runner that calls it
# tries: replaces the loop that calls it by one that does nothing, and answers every round at once
# problem: silu
# expect: wrong tampered
# naive: exempt: its target is the message loop of kopt's own runner
import sys


def run(x):
    frame = sys._getframe(1)
    while frame is not None:
        program = frame.f_locals.get("program") or frame.f_locals.get("self")
        if hasattr(program, "round"):
            type(program).round = lambda self, start, count: None
        frame = frame.f_back
    return x * x.sigmoid()
