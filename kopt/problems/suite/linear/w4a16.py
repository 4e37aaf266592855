"""A linear layer of 4-bit weights and half-precision activations: y = x @ ((q - 8) * scale).

Eight consecutive inputs' weights lie in each int32, the first in the lowest bits; every ``group`` inputs of an output
share a scale (GPTQ's symmetric layout, which MARLIN reads).
"""

import torch

axes = {"tokens": None, "hidden": 1024, "features": 1024, "group": 128}
inputs = {"x": {"shape": ["tokens", "hidden"], "dtype": "bfloat16"}}
state = {
    "packed": {
        "shape": ["hidden // 8", "features"],
        "dtype": "int32",
        "values": {"kind": "integers", "low": -2147483648, "high": 2147483647},
    },
    "scales": {
        "shape": ["hidden // group", "features"],
        "dtype": "bfloat16",
        "values": {"kind": "uniform", "low": 0.002, "high": 0.01},
    },
}
outputs = ["y"]
workloads = {"decode": {"tokens": 16}, "prefill": {"tokens": 256}}
held_out = {"ragged": {"tokens": 77}, "single": {"tokens": 1}}
smoke = {"tokens": 3, "hidden": 64, "features": 24, "group": 32}


def reference(x: torch.Tensor, packed: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    shifts = torch.arange(0, 32, 4, device=packed.device, dtype=packed.dtype)
    quantised = (packed[:, None] >> shifts[:, None]) & 15
    weight = (quantised.reshape(scales.shape[0], -1, scales.shape[1]) - 8) * scales[:, None]
    return x @ weight.reshape(-1, scales.shape[1])
