"""Rotary position embedding of queries, half-split layout: y = x * cos + rotate_half(x) * sin."""

import torch

axes = {"tokens": None, "heads": 16, "head_size": 64}
inputs = {
    "x": {"shape": ["tokens", "heads", "head_size"]},
    "cos": {"shape": ["tokens", "head_size"], "values": {"kind": "uniform", "low": -1.0, "high": 1.0}},
    "sin": {"shape": ["tokens", "head_size"], "values": {"kind": "uniform", "low": -1.0, "high": 1.0}},
}
outputs = ["y"]
workloads = {"prefill": {"tokens": 4096}, "decode": {"tokens": 64}}
held_out = {"ragged": {"tokens": 777}, "single": {"tokens": 1}}
smoke = {"tokens": 3}


def reference(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    rotated = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    return x * cos.unsqueeze(1) + rotated * sin.unsqueeze(1)
