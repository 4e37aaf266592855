"""Hidden input distributions: values a reference must handle but a problem's own generator never shows.

Each is made from a declared draw, so shapes, dtypes and domains stay the problem's own: probabilities stay
probabilities, a triangular matrix keeps its zeros, labels keep their range. The judge drops a distribution
whose reference is not finite.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from kopt.problems.domain import Domain, domain_of

Change = Callable[[torch.Tensor, Domain, torch.Generator], torch.Tensor]


def applicable(arguments: list[Any]) -> list[str]:
    """Names of the distributions worth trying on these arguments."""
    tensors = [a for a in arguments if isinstance(a, torch.Tensor) and a.numel() > 1]
    if any(t.is_floating_point() and not domain_of(t).fixed for t in tensors):
        return list(CHANGES)
    if any(not t.is_floating_point() and not domain_of(t).fixed for t in tensors):
        return ["ties", "sorted"]
    return []


def transform(arguments: list[Any], name: str, seed: int) -> list[Any]:
    """The arguments with every tensor changed as ``name`` says.

    Raises:
        KeyError: no such distribution.
    """
    change = CHANGES[name]
    generator = torch.Generator().manual_seed(seed ^ 0x5EED)
    changed: list[Any] = []
    for value in arguments:
        if not isinstance(value, torch.Tensor) or value.numel() < 2:
            changed.append(value)
            continue
        domain = domain_of(value)
        if domain.fixed:
            result = value
        elif value.is_floating_point():
            result = domain.enforce(change(value.float(), domain, generator), value)
        else:
            result = _integers(value, name, generator)
        kept = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)
        changed.append(kept.copy_(result))
    return changed


def _small(x: torch.Tensor, domain: Domain, generator: torch.Generator) -> torch.Tensor:
    """Tiny magnitudes: an absolute tolerance, or an epsilon left out, shows here."""
    return x * 1e-4


def _large(x: torch.Tensor, domain: Domain, generator: torch.Generator) -> torch.Tensor:
    """Big magnitudes: overflow where the reference does not overflow; inside [0, 1], values close to 1."""
    if domain.unit:
        return 1 - x * 1e-4
    return x * (16.0 if domain.narrow else 1e4)


def _shifted(x: torch.Tensor, domain: Domain, generator: torch.Generator) -> torch.Tensor:
    """A mean far from zero: one-pass variances cancel, symmetric shortcuts break."""
    if domain.unit:
        return 0.5 + 0.5 * x
    return x + 8 * domain.spread


def _ties(x: torch.Tensor, domain: Domain, generator: torch.Generator) -> torch.Tensor:
    """Few distinct values, and leading rows that are constant: arg-reductions, zero variances."""
    step = domain.spread if domain.spread > 0 else 1.0
    if domain.unit:
        step = 0.25
    tied = torch.round(x / step) * step
    if tied.dim() > 1:
        tied[: max(1, tied.shape[0] // 4)] = x.flatten()[0]
    return tied


def _outliers(x: torch.Tensor, domain: Domain, generator: torch.Generator) -> torch.Tensor:
    """One dominant element in each row: sums whose other terms vanish, softmax near one-hot."""
    quiet = x * 1e-2
    place = torch.randint(x.shape[-1], (*x.shape[:-1], 1), generator=generator)
    value = x.gather(-1, place)
    peak = value.abs() + 64 * domain.spread
    return quiet.scatter(-1, place, torch.where(value < 0, -peak, peak))


def _sorted(x: torch.Tensor, domain: Domain, generator: torch.Generator) -> torch.Tensor:
    """Sorted runs with zeros of both signs and denormals strewn in."""
    run = x.sort(dim=-1).values
    if domain.zeros or domain.rows:
        return run
    pick = torch.randint(48, run.shape, generator=generator)
    run = torch.where(pick == 0, 0.0, run)
    run = torch.where(pick == 1, -0.0, run)
    return torch.where(pick == 2, 1e-40, run)


CHANGES: dict[str, Change] = {
    "small": _small,
    "large": _large,
    "shifted": _shifted,
    "ties": _ties,
    "outliers": _outliers,
    "sorted": _sorted,
}
"""Every hidden distribution, by name."""


def _integers(value: torch.Tensor, name: str, generator: torch.Generator) -> torch.Tensor:
    """Observed integers in another arrangement; never a value that the problem did not show."""
    flat = value.flatten()
    if name == "ties" and torch.unique(flat).numel() < flat.numel():
        return flat[:1].expand(flat.shape).reshape(value.shape)
    if name == "sorted":
        return flat.sort().values.reshape(value.shape)
    return flat[torch.randperm(flat.numel(), generator=generator)].reshape(value.shape)
