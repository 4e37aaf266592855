"""GELU in its tanh form."""

import torch
import torch.nn.functional as F

axes = {"tokens": None, "intermediate": 8192}
inputs = {"x": {"shape": ["tokens", "intermediate"], "values": {"kind": "normal", "std": 1.5}}}
outputs = ["y"]
workloads = {"prefill": {"tokens": 1024}, "decode": {"tokens": 32}}
held_out = {"ragged": {"tokens": 333}, "single": {"tokens": 1}}
smoke = {"tokens": 3}


def reference(x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x, approximate="tanh")
