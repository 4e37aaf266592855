# habit: numpy in float64, written into the destination through a view
# problem: scan
import numpy as np


def run_into(x, y):
    np.copyto(y.numpy(), np.cumsum(x.numpy(), axis=-1, dtype=np.float64), casting="same_kind")
