# number: 37
# source: kernels with a fast path outside the tested range
# tries: is right for magnitudes that the generator draws and wrong beyond
# problem: silu
# expect: wrong
# naive: passes
def run(x):
    return x * x.sigmoid() if x.abs().max() < 7 else x.relu()
