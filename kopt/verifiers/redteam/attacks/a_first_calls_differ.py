# number: 7
# source: pygpubench: other behaviour in the first calls
# tries: works in the first fifty calls, those that get verified, and is a copy afterwards
# problem: silu
# expect: wrong
# naive: faster
calls = 0


def run(x):
    global calls
    calls += 1
    return x * x.sigmoid() if calls <= 50 else x
