"""Inputs drawn from U[0, 1) out of habit are tried outside of it; probabilities are not."""

from __future__ import annotations

import torch

from kopt.problems.beyond import beyond, reaches_beyond


def test_uniform_draws_are_spread_and_nothing_else_is() -> None:
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(16, 64, generator=generator)
    normal = torch.randn(16, 64, generator=generator)
    mask = (uniform > 0.5).float()
    rows = torch.softmax(normal, -1)
    spread, *rest = beyond([uniform, normal, mask, rows, 3])
    assert float(spread.min()) < -3 and float(spread.max()) > 3
    for before, after in zip([normal, mask, rows, 3], rest, strict=True):
        assert before is after
    assert reaches_beyond([normal, uniform])
    assert not reaches_beyond([normal, mask, rows, 3])
