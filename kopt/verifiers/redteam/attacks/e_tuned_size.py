# number: 37
# source: kernels specialised for the sizes a deck checks
# tries: is right for sizes that are multiples of 64 and skips the tail of others
# problem: varied_softmax
# expect: wrong
# naive: exempt: the naive checker knows one shape
import torch


def run(x):
    whole = x.shape[-1] // 64 * 64
    out = torch.zeros_like(x)
    out[..., :whole] = torch.softmax(x[..., :whole], dim=-1)
    return out
