"""RMS normalisation of a transformer's hidden states: y = x / sqrt(mean(x^2) + epsilon) * weight."""

import torch

axes = {"tokens": None, "hidden": 2048}
inputs = {
    "x": {"shape": ["tokens", "hidden"], "dtype": "float32", "values": "normal"},
    "epsilon": 1e-6,
}
state = {"weight": {"shape": ["hidden"], "values": {"kind": "uniform", "low": 0.5, "high": 1.5}}}
outputs = ["y"]
workloads = {"prefill": {"tokens": 4096}, "decode": {"tokens": 64}}
held_out = {"ragged": {"tokens": 777}, "single": {"tokens": 1}}
smoke = {"tokens": 3}


def reference(x: torch.Tensor, epsilon: float, weight: torch.Tensor) -> torch.Tensor:
    mean_square = x.pow(2).mean(dim=-1, keepdim=True)
    return x * torch.rsqrt(mean_square + epsilon) * weight
