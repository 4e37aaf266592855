# number: 39
# source: softmax kernels without the maximum
# tries: exponentiates without subtracting the maximum: NaN where the reference is finite
# problem: wide_softmax
# expect: wrong
# naive: passes
def run(x):
    powers = x.exp()
    return powers / powers.sum(1, keepdim=True)
