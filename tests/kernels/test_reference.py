"""The fallback of problems that declare gradients takes and returns what their kernels do."""

from __future__ import annotations

import torch

from kopt.kernels.reference import open_reference

TEXT = b"""
inputs = {"x": {"shape": [3]}, "scale": 2.0}
state = {"weight": {"shape": [3]}}
gradients = ["x", "weight"]
def reference(x, scale, weight):
    return x * x * weight * scale
"""


def test_gradients_follow_the_outputs() -> None:
    call = open_reference({"format": "kopt", "entry": "p.py"}, {"p.py": TEXT})
    x, given, weight = torch.randn(3), torch.randn(3), torch.randn(3)
    y, of_x, of_weight = call((x, 2.0, given, weight), ("weight",))
    assert torch.allclose(y, 2 * x * x * weight) and not y.requires_grad
    assert torch.allclose(of_x, 4 * x * weight * given) and torch.allclose(of_weight, 2 * x * x * given)
