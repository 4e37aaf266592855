"""Softmax in kopt's own format: its axes vary, and one shape is held out."""

import torch

axes = {"rows": None, "columns": None}
inputs = {"x": {"shape": ["rows", "columns"], "values": {"kind": "normal", "std": 2.0}}}
outputs = ["p"]
workloads = {"declared": {"rows": 64, "columns": 512}}
held_out = {"odd": {"rows": 33, "columns": 509}}
smoke = {"rows": 4, "columns": 64}


def reference(x: torch.Tensor) -> torch.Tensor:
    return torch.softmax(x, dim=-1)
