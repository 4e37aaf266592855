"""Layer normalisation over the last axis with gain and offset."""

import torch
import torch.nn.functional as F

axes = {"tokens": None, "hidden": 2048}
inputs = {"x": {"shape": ["tokens", "hidden"], "values": {"kind": "normal", "mean": 0.5, "std": 2.0}}}
state = {
    "weight": {"shape": ["hidden"], "values": {"kind": "uniform", "low": 0.5, "high": 1.5}},
    "bias": {"shape": ["hidden"]},
}
outputs = ["y"]
workloads = {"prefill": {"tokens": 4096}, "decode": {"tokens": 64}}
held_out = {"ragged": {"tokens": 777}, "single": {"tokens": 1}}
smoke = {"tokens": 3}


def reference(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], weight, bias, 1e-5)
