"""Logarithm of the softmax over the last axis, as a language model's head needs it."""

import torch

axes = {"rows": None, "columns": None}
inputs = {"x": {"shape": ["rows", "columns"], "values": {"kind": "normal", "std": 2.0}}}
outputs = ["log_p"]
workloads = {"vocabulary": {"rows": 256, "columns": 32000}, "classes": {"rows": 4096, "columns": 1000}}
held_out = {"odd": {"rows": 33, "columns": 1021}}
smoke = {"rows": 3, "columns": 37}


def reference(x: torch.Tensor) -> torch.Tensor:
    return torch.log_softmax(x, dim=-1)
