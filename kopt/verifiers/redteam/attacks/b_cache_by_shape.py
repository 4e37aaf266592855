# number: 12
# source: atrex#5: beats checkers that shift pointers
# tries: keeps answers by the shape of the input
# problem: silu
# expect: wrong
# naive: faster
seen = {}
calls = 0


def run(x):
    global calls
    calls += 1
    if calls <= 8 or x.shape not in seen:
        seen[x.shape] = x * x.sigmoid()
    return seen[x.shape]
