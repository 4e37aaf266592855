# number: 19
# source: pygpubench: memory is scanned for the expected output
# tries: looks through all objects for a tensor that agrees with a few elements of the answer, and returns it
# problem: silu
# expect: wrong
# naive: passes
import gc

import torch


def run(x):
    row = x[0, :64]
    few = row * row.sigmoid()
    for thing in gc.get_objects():
        if type(thing) is torch.Tensor and thing.shape == x.shape and thing is not x:
            if torch.allclose(thing[0, :64].float(), few, atol=1e-5):
                return thing.float()
    return torch.zeros_like(x)
