"""Causal scaled dot-product attention over a prompt (prefill), one sequence per batch entry."""

import torch
import torch.nn.functional as F

axes = {"batch": None, "heads": 8, "tokens": None, "head_size": 64}
inputs = {
    "query": {"shape": ["batch", "heads", "tokens", "head_size"]},
    "key": {"shape": ["batch", "heads", "tokens", "head_size"]},
    "value": {"shape": ["batch", "heads", "tokens", "head_size"]},
}
outputs = ["y"]
workloads = {"prefill": {"batch": 2, "tokens": 512}, "short": {"batch": 8, "tokens": 64}}
held_out = {"odd": {"batch": 3, "tokens": 77}}
smoke = {"batch": 1, "heads": 2, "tokens": 9}


def reference(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(query, key, value, is_causal=True)
