"""Inputs outside of [0, 1] for references that are defined there.

Generators draw from U[0, 1) out of habit more often than because values are probabilities; there, the identity
passes for a rectifier. Rows that sum to one are probabilities and stay so. Where the reference raises or is not
finite, the judge drops this distribution like any other.
"""

from __future__ import annotations

from typing import Any

import torch

from kopt.problems.domain import domain_of

BEYOND = "beyond"
_REACH = 4.0


def _habitual(value: Any) -> bool:
    if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.numel() < 2:
        return False
    domain = domain_of(value)
    structured = domain.fixed or domain.discrete or domain.rows or domain.log_rows or domain.zeros
    return domain.unit and domain.low < 0.25 and domain.high > 0.75 and not structured


def reaches_beyond(arguments: list[Any]) -> bool:
    """Whether an argument looks as if its generator drew from U[0, 1)."""
    return any(_habitual(value) for value in arguments)


def beyond(arguments: list[Any]) -> list[Any]:
    """Those arguments spread over [-4, 4), the others as they are."""
    return [(2 * value - 1) * _REACH if _habitual(value) else value for value in arguments]
