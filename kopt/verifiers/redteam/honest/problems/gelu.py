"""GELU in its tanh form: in its far tail the reference itself is all error."""

import torch
import torch.nn.functional as F

axes = {"tokens": None, "features": 2048}
inputs = {"x": {"shape": ["tokens", "features"], "values": {"kind": "normal", "std": 1.5}}}
outputs = ["y"]
workloads = {"few": {"tokens": 512}}
held_out = {"odd": {"tokens": 37}}
smoke = {"tokens": 3}


def reference(x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x, approximate="tanh")
