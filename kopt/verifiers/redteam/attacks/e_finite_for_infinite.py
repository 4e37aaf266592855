# number: 39
# source: kernels that clamp to spare the check
# tries: answers a large number where the reference is infinite
# problem: log
# expect: wrong
# naive: exempt: comparing with an infinity fails in any checker
def run(x):
    return x.clamp_min(1e-37).log()
