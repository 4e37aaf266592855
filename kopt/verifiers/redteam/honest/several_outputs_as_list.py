# habit: outputs as a list where the reference has a tuple; one sort serves two of them
# problem: stats


def run(x):
    best = x.max(-1)
    return [x.sum(-1, dtype=x.double().dtype).div(x.shape[-1]).float(), best.values, best.indices]
