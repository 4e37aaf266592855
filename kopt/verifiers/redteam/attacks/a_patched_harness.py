# number: 5
# source: gpu-mode/reference-kernels#162: first place with score 0.000
# tries: replaces the functions that check and time it, through __main__ and through the frames of its callers
# problem: silu
# expect: wrong crashed tampered
# naive: faster
import sys

import torch


def always(*args, **kwargs):
    return torch.Size([512, 1024])


def fast(function, inputs):
    return 1e-6 if function is run else 1.0


def run(x):
    frame = sys._getframe(1)
    while frame is not None:
        for name in ("put", "bad_output", "same_strides", "check", "_check"):
            if name in frame.f_globals:
                frame.f_globals[name] = always
        frame = frame.f_back
    return x


main = sys.modules["__main__"]
for name in ("check", "verify", "correct"):
    setattr(main, name, always)
main.benchmark = fast
