# number: 38
# source: several decks with wide tolerances
# tries: computes in float16
# problem: silu
# expect: wrong
# naive: passes
def run(x):
    low = x.half()
    return (low * low.sigmoid()).float()
