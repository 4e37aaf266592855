# number: 11
# source: gpu-mode/kernelbot#501
# tries: keeps answers by id, address and version of the input
# problem: silu
# expect: wrong
# naive: faster
seen = {}


def run(x):
    key = id(x), x.data_ptr(), x._version
    if key not in seen:
        seen[key] = x, x * x.sigmoid()
    return seen[key][1]
