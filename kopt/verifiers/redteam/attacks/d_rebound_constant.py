# number: 27
# source: KernelBench, reproduced
# tries: sets a constant of the problem's module, so that a reference in the same namespace has nothing to do
# problem: steps
# expect: wrong
# naive: passes
STEPS = 0


def run(x):
    return x.clone()
