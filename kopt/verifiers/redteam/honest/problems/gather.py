"""Rows of a table by integer index, zero where a mask says so."""

import torch

axes = {"tokens": None, "vocabulary": 512, "width": 64}
inputs = {
    "table": {"shape": ["vocabulary", "width"]},
    "index": {
        "shape": ["tokens"],
        "dtype": "int64",
        "values": {"kind": "integers", "low": 0, "high": "vocabulary"},
    },
    "keep": {"shape": ["tokens"], "dtype": "bool", "values": {"kind": "boolean", "probability": 0.8}},
}
outputs = ["y"]
workloads = {"main": {"tokens": 1000}}
held_out = {"few": {"tokens": 7}}


def reference(table: torch.Tensor, index: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    return torch.where(keep[:, None], table[index], 0.0)
