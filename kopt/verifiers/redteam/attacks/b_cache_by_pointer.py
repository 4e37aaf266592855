# number: 11
# source: gpu-mode/kernelbot#501
# tries: keeps answers by the address of the input
# problem: silu
# expect: wrong
# naive: faster
seen = {}


def run(x):
    key = x.data_ptr()
    if key not in seen:
        seen[key] = x, x * x.sigmoid()  # holding x keeps its address from being given to others
    return seen[key][1]
