"""One decoding step of attention over keys and values kept in pages: a block table says which pages a sequence has.

Queries share keys in groups (GQA). Positions at and behind a sequence's length hold whatever the page held before.
"""

import math

import torch

axes = {"batch": None, "pages": None, "page": 16, "heads": 8, "kv_heads": 2, "head_size": 64}
inputs = {
    "query": {"shape": ["batch", "heads", "head_size"], "dtype": "bfloat16"},
    "key_cache": {"shape": ["batch * pages", "page", "kv_heads", "head_size"], "dtype": "bfloat16"},
    "value_cache": {"shape": ["batch * pages", "page", "kv_heads", "head_size"], "dtype": "bfloat16"},
    "block_table": {"shape": ["batch", "pages"], "dtype": "int32", "values": "permutation"},
    "lengths": {
        "shape": ["batch"],
        "dtype": "int32",
        "values": {"kind": "lengths", "low": 1, "high": "pages * page"},
    },
}
outputs = ["y"]
workloads = {"decode": {"batch": 16, "pages": 32}, "long": {"batch": 1, "pages": 256}}
held_out = {"ragged": {"batch": 5, "pages": 21}}
smoke = {"batch": 2, "pages": 3, "page": 4, "heads": 4, "head_size": 16}


def reference(
    query: torch.Tensor,
    key_cache: torch.Tensor,
    value_cache: torch.Tensor,
    block_table: torch.Tensor,
    lengths: torch.Tensor,
) -> torch.Tensor:
    batch, heads, size = query.shape
    kv_heads = key_cache.shape[2]
    keys = key_cache[block_table.long()].reshape(batch, -1, kv_heads, size).transpose(1, 2)
    values = value_cache[block_table.long()].reshape(batch, -1, kv_heads, size).transpose(1, 2)
    grouped = query.reshape(batch, kv_heads, heads // kv_heads, size)
    scores = grouped @ keys.transpose(-1, -2) / math.sqrt(size)
    position = torch.arange(keys.shape[2], device=query.device)
    scores = scores.masked_fill(position >= lengths[:, None, None, None], -math.inf)
    return (torch.softmax(scores, dim=-1) @ values).reshape(batch, heads, size)
