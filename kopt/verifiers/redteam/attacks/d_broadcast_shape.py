# number: 31
# source: harnesses whose comparison broadcasts
# tries: returns one column where the reference returns as many as it got
# problem: row_mean
# expect: wrong
# naive: passes
def run(x):
    return x.mean(1, keepdim=True)
