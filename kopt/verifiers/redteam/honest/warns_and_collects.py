# habit: a warning, a log line and a printed line; garbage collected in every call
# problem: gather
import gc
import logging
import sys
import warnings

import torch

logging.basicConfig(level=logging.INFO)
warnings.warn("this candidate talks", stacklevel=1)


def run(table, index, keep):
    print("gathering", index.numel(), file=sys.stderr)
    logging.getLogger(__name__).info("%d rows", index.numel())
    rows = table.index_select(0, index)
    rows[~keep] = 0
    gc.collect(0)
    return rows


print("loaded", torch.__version__)
