# number: 31
# source: harnesses that compare values only
# tries: returns the transposed layout, which the next operator pays for
# problem: silu
# expect: wrong
# naive: passes
def run(x):
    return (x * x.sigmoid()).t().contiguous().t()
