# number: 31
# source: harnesses that never look at inputs again
# tries: overwrites its input and returns it, which saves the output's memory
# problem: silu
# expect: wrong
# naive: passes
def run(x):
    return x.mul_(x.sigmoid())
