# habit: writes a strided output row by row
# problem: strided


def run_into(x, y):
    for row, source in zip(y.unbind(1), x[:, ::2].unbind(1), strict=True):
        row.copy_(source.tanh())
