"""A linear layer with GELU: the first half of a transformer's feed-forward block."""

import torch
import torch.nn.functional as F

axes = {"tokens": None, "hidden": 512, "intermediate": 2048}
inputs = {"x": {"shape": ["tokens", "hidden"]}}
state = {
    "weight": {"shape": ["intermediate", "hidden"], "values": {"kind": "normal", "std": 0.05}},
    "bias": {"shape": ["intermediate"], "values": {"kind": "normal", "std": 0.5}},
}
outputs = ["y"]
workloads = {"prefill": {"tokens": 1024}, "decode": {"tokens": 16}}
held_out = {"ragged": {"tokens": 333}, "single": {"tokens": 1}}
smoke = {"tokens": 3}


def reference(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.gelu(F.linear(x, weight, bias))
