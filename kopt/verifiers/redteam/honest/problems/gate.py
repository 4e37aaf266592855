"""silu(a) * b in bfloat16."""

import torch

axes = {"rows": None, "columns": 2048}
inputs = {
    "a": {"shape": ["rows", "columns"], "dtype": "bfloat16"},
    "b": {"shape": ["rows", "columns"], "dtype": "bfloat16"},
}
outputs = ["y"]
workloads = {"main": {"rows": 64}}
held_out = {"few": {"rows": 5}}


def reference(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.silu(a) * b
