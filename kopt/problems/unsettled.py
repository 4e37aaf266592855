"""Give parameters that every constructor sets to one value (ones, zeros) values of their own.

A normalisation is constructed with ones and zeros; a candidate that never reads them is right until somebody
trains the model. Parameters that are drawn already differ from seed to seed and stay as they are.
"""

from __future__ import annotations

import math

import torch
from torch.nn.modules.batchnorm import _NormBase


def unsettle(model: torch.nn.Module, seed: int) -> dict[str, float]:
    """Redraw, in place, each parameter and running statistic that holds one value in all its elements.

    A value other than zero is scaled by [0.5, 1.5), which keeps its sign; zeros become [-0.5, 0.5). Returns what
    each of them was, by its name in ``state_dict``.
    """
    generator = torch.Generator().manual_seed(seed ^ 0x0DD5)
    found: dict[str, float] = {}
    with torch.no_grad():
        for name, tensor in _learned(model).items():
            if not tensor.is_floating_point() or tensor.is_complex() or not tensor.numel():
                continue
            value = float(tensor.flatten()[0])
            if not math.isfinite(value) or not bool((tensor == value).all()):
                continue
            drawn = torch.rand(tensor.shape, generator=generator)
            tensor.copy_(value * (0.5 + drawn) if value else drawn - 0.5)
            found[name] = value
    return found


def _learned(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What training changes. Other buffers (a mask, a temperature) are constants of the computation."""
    found: dict[str, torch.Tensor] = dict(model.named_parameters())
    for prefix, module in model.named_modules():
        if isinstance(module, _NormBase):
            for name, buffer in module.named_buffers(prefix, recurse=False):
                found[name] = buffer
    return found
