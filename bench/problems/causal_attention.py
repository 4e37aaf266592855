"""Causal scaled dot-product attention, eight heads (3 x 8 MiB in, 8 MiB out)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Model(nn.Module):
    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)


batch_size = 4
heads = 8
tokens = 1024
head_size = 64


def get_inputs():
    shape = (batch_size, heads, tokens, head_size)
    return [torch.randn(shape), torch.randn(shape), torch.randn(shape)]


def get_init_inputs():
    return []
