"""Residual addition and RMS normalisation in one step; both the sum and the normalised sum are needed."""

import torch

axes = {"tokens": None, "hidden": 2048}
inputs = {
    "x": {"shape": ["tokens", "hidden"]},
    "residual": {"shape": ["tokens", "hidden"], "values": {"kind": "normal", "std": 2.0}},
    "epsilon": 1e-6,
}
state = {"weight": {"shape": ["hidden"], "values": {"kind": "uniform", "low": 0.5, "high": 1.5}}}
outputs = ["y", "new_residual"]
workloads = {"prefill": {"tokens": 2048}, "decode": {"tokens": 64}}
held_out = {"ragged": {"tokens": 777}, "single": {"tokens": 1}}
smoke = {"tokens": 3}


def reference(
    x: torch.Tensor, residual: torch.Tensor, epsilon: float, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    total = x + residual
    mean_square = total.pow(2).mean(dim=-1, keepdim=True)
    return total * torch.rsqrt(mean_square + epsilon) * weight, total
