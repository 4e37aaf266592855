"""Cross entropy of each token's logits against its label, not averaged."""

import torch
import torch.nn.functional as F

axes = {"tokens": None, "vocabulary": None}
inputs = {
    "logits": {"shape": ["tokens", "vocabulary"], "values": {"kind": "normal", "std": 2.0}},
    "labels": {
        "shape": ["tokens"],
        "dtype": "int64",
        "values": {"kind": "integers", "low": 0, "high": "vocabulary"},
    },
}
outputs = ["loss"]
workloads = {
    "language": {"tokens": 256, "vocabulary": 32000},
    "classes": {"tokens": 4096, "vocabulary": 1000},
}
held_out = {"odd": {"tokens": 33, "vocabulary": 1021}}
smoke = {"tokens": 3, "vocabulary": 37}


def reference(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits, labels, reduction="none")
