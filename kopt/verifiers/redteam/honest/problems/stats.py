"""Three outputs of two dtypes: mean, largest value and its place in every row."""

import torch

axes = {"rows": None, "columns": None}
inputs = {"x": {"shape": ["rows", "columns"]}}
outputs = ["mean", "largest", "place"]
workloads = {"main": {"rows": 64, "columns": 2048}}
held_out = {"ragged": {"rows": 5, "columns": 333}}


def reference(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return x.mean(-1), x.amax(-1), x.argmax(-1)
