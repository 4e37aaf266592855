"""Infinities strewn into one input, for references that define what becomes of them.

Masks are minus infinity, clamps and rectifiers have limits, a maximum has no bound; a kernel that multiplies by zero
where the reference selects makes NaN of these. Nobody declares it in the format of ``Model`` and ``get_inputs``, so the
judge asks the reference: where its own output has no NaN, it is defined. Both signs are tried, then the lower one
alone, which softmax and its relatives take.

Only the largest input whose values are spread around zero gets any, so that one infinity does not meet another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kopt.problems.domain import domain_of
from kopt.problems.strides import once

BOTH, BELOW = "infinite", "infinite_below"
_ONE_IN = 160


def receiver(arguments: Sequence[Any]) -> int | None:
    """The number of the argument that gets infinities; None when none may have any."""
    sizes = {place: once(value).numel() for place, value in enumerate(arguments) if _unbounded(value)}
    return max(sizes, key=lambda place: sizes[place]) if sizes else None


def infinite(arguments: Sequence[Any], name: str, seed: int) -> list[Any]:
    """The arguments with minus infinity, and for ``infinite`` plus infinity too, in about one element of 160.

    Raises:
        LookupError: none of them may be infinite.
    """
    place = receiver(arguments)
    if place is None:
        raise LookupError("no input is spread around zero")
    changed = list(arguments)
    given = changed[place]
    value = once(given).clone()
    generator = torch.Generator().manual_seed(seed ^ 0x1F1F)
    pick = torch.randint(_ONE_IN, value.shape, generator=generator)
    value[pick == 0] = -float("inf")
    if name == BOTH:
        value[pick == 1] = float("inf")
    changed[place] = value.expand(given.shape)
    return changed


def _unbounded(value: Any) -> bool:
    if not isinstance(value, torch.Tensor) or not value.is_floating_point() or once(value).numel() < 2:
        return False
    domain = domain_of(once(value))
    structured = domain.fixed or domain.discrete or domain.rows or domain.zeros or domain.symmetric
    return domain.low < 0 < domain.high and not structured
