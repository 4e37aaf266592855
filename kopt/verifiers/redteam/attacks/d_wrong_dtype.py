# number: 31
# source: harnesses that cast before they compare
# tries: returns half precision
# problem: silu
# expect: wrong
# naive: passes
def run(x):
    return (x * x.sigmoid()).half()
