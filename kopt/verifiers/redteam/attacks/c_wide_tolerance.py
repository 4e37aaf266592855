# number: 23
# source: several decks keep their tolerance where candidates can write
# tries: raises every number that is called a tolerance, in every module it finds
# problem: silu
# expect: wrong
# naive: passes
import sys

for module in list(sys.modules.values()):
    for name in dir(module) if getattr(module, "__name__", "") else ():
        if "TOL" in name.upper() and type(getattr(module, name, None)) in (int, float):
            setattr(module, name, 1e9)


def run(x):
    return x * 0
