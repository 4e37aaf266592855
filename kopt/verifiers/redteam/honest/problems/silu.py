"""y = x * sigmoid(x): pointwise."""

import torch

axes = {"rows": None, "columns": None}
inputs = {"x": {"shape": ["rows", "columns"]}}
outputs = ["y"]
workloads = {"main": {"rows": 256, "columns": 1024}}
held_out = {"ragged": {"rows": 37, "columns": 211}}
smoke = {"rows": 3, "columns": 50}


def reference(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(x)
