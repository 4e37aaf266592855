"""SwiGLU's elementwise part: SiLU of the first half of the last axis times the second half."""

import torch
import torch.nn.functional as F

axes = {"tokens": None, "intermediate": 4096}
inputs = {"x": {"shape": ["tokens", "2 * intermediate"]}}
outputs = ["y"]
workloads = {"prefill": {"tokens": 1024}, "decode": {"tokens": 32}}
held_out = {"ragged": {"tokens": 333}, "single": {"tokens": 1}}
smoke = {"tokens": 3}


def reference(x: torch.Tensor) -> torch.Tensor:
    gate, up = x.chunk(2, dim=-1)
    return F.silu(gate) * up
