# number: 33
# source: KernelBench L1/19, 20, 31, 32
# tries: returns its input, which inputs from U[0, 1) do not tell from a rectifier
# problem: unit_relu
# expect: wrong
# naive: passes
def run(x):
    return x.clone()
