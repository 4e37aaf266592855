"""Hidden input distributions: values a reference must handle but a problem's own generator never shows.

Each is made from a declared draw, so shapes, dtypes and domains stay the problem's own: probabilities stay
probabilities, a triangular matrix keeps its zeros, labels keep their range. The judge drops a distribution
whose reference is not finite.

Names joined by ``+`` are a mixture: consecutive parts of one tensor follow one distribution each, so that a single
run of the reference shows them all. It is as legal an input as any other, whatever the reference does with its axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from kopt.problems.domain import Domain, domain_of, widened
from kopt.problems.strides import once

NON_FINITE = "non_finite"
"""Infinities and NaN strewn in: only where a problem declares that its reference defines what becomes of them."""

Change = Callable[[torch.Tensor, Domain, torch.Generator], torch.Tensor]


def applicable(arguments: list[Any]) -> list[str]:
    """Names of the distributions worth trying on these arguments."""
    tensors = [t for a in arguments if isinstance(a, torch.Tensor) and (t := once(a)).numel() > 1]
    if any(t.is_floating_point() and not domain_of(t).fixed for t in tensors):
        return list(CHANGES)
    if any(not t.is_floating_point() and not domain_of(t).fixed for t in tensors):
        return ["ties", "sorted", "outliers"]
    return []


def transform(arguments: list[Any], name: str, seed: int) -> list[Any]:
    """The arguments with every tensor changed as ``name`` (or every name of a mixture) says.

    Raises:
        KeyError: no such distribution.
    """
    names = name.split("+")
    for one in names:
        _change(one)
    generator = torch.Generator().manual_seed(seed ^ 0x5EED)
    changed: list[Any] = []
    for given in arguments:
        value = once(given) if isinstance(given, torch.Tensor) else None
        if value is None or value.numel() < 2:
            changed.append(given)
            continue
        domain = domain_of(value)
        if domain.fixed:
            result = value
        elif value.is_floating_point():
            result = domain.enforce(_mixed(widened(value), domain, names, generator), value)
        else:
            result = _mixed_integers(value, names, generator)
        kept = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)
        changed.append(kept.copy_(result).expand(given.shape))
    return changed


def _change(name: str) -> Change:
    return _non_finite if name == NON_FINITE else CHANGES[name]


def _mixed(x: torch.Tensor, domain: Domain, names: Sequence[str], generator: torch.Generator) -> torch.Tensor:
    """Consecutive parts of ``x``, a name each: whole rows of the last axis where there are enough of them."""
    if len(names) == 1:
        return _change(names[0])(x, domain, generator)
    rows = x.reshape(-1, x.shape[-1])
    if rows.shape[0] < len(names) and not (domain.rows or domain.log_rows):
        rows = x.flatten()
    names = names[: rows.shape[0]]
    parts = zip(rows.tensor_split(len(names)), names, strict=True)
    return torch.cat([CHANGES[name](part, domain, generator) for part, name in parts]).reshape(x.shape)


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


def _negative(x: torch.Tensor, domain: Domain, generator: torch.Generator) -> torch.Tensor:
    """A mean far below zero: a maximum that starts at zero shows; inside [0, 1], nothing above one half."""
    if domain.unit:
        return 0.5 * x
    return x - 8 * domain.spread


def _wide(x: torch.Tensor, domain: Domain, generator: torch.Generator) -> torch.Tensor:
    """Magnitudes from 1e-4 to 1e4 side by side: sums whose order matters, scales taken from one element."""
    low, high = (-4.0, 0.0) if domain.unit else (-3.0, 1.0) if domain.narrow else (-4.0, 4.0)
    return x * 10 ** (torch.rand(x.shape, generator=generator) * (high - low) + low)


def _equal(x: torch.Tensor, domain: Domain, generator: torch.Generator) -> torch.Tensor:
    """One value everywhere: zero variance, every maximum tied."""
    return x.flatten()[0].expand(x.shape)


def _zeros(x: torch.Tensor, domain: Domain, generator: torch.Generator) -> torch.Tensor:
    """Zeros of both signs and one element of each row: one-hot rows, divisions that an epsilon saves."""
    place = torch.randint(x.shape[-1], (*x.shape[:-1], 1), generator=generator)
    zero = torch.where(torch.rand(x.shape, generator=generator) < 0.5, 0.0, -0.0).to(x.dtype)
    return zero.scatter(-1, place, x.gather(-1, place))


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
    """Sorted runs with zeros and denormals of both signs strewn in."""
    run = x.sort(dim=-1).values
    if domain.zeros or domain.rows:
        return run
    pick = torch.randint(48, run.shape, generator=generator)
    run = torch.where(pick == 0, 0.0, run)
    run = torch.where(pick == 1, -0.0, run)
    small = _denormals(run.shape, domain.dtype, generator).to(run.dtype)
    run = torch.where(pick == 2, small, run)
    return torch.where(pick == 3, -small, run)


def _denormals(shape: torch.Size, dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    """Positive numbers below the normal ones of ``dtype``, uniform in the logarithm, in float64.

    torch keeps them, and so does what a compiler makes of C++ without being told otherwise. A kernel that takes them
    for zeros is within every budget where its results are as small (``lost`` in :mod:`kopt.verifiers.dtypes`), and
    wrong where the reference makes something of them: a sign, a root, a quotient.
    """
    info = torch.finfo(dtype)
    places = -math.log2(info.eps)
    depth = 1 + (places - 1) * torch.rand(shape, generator=generator, dtype=torch.float64)
    return info.smallest_normal * 2.0**-depth


def _non_finite(x: torch.Tensor, domain: Domain, generator: torch.Generator) -> torch.Tensor:
    """About six in a thousand elements each are NaN, +Inf and -Inf; most rows have none of one or another."""
    pick = torch.randint(160, x.shape, generator=generator)
    for number, value in enumerate((float("nan"), float("inf"), -float("inf"))):
        x = torch.where(pick == number, value, x)
    return x


CHANGES: dict[str, Change] = {
    "small": _small,
    "large": _large,
    "wide": _wide,
    "shifted": _shifted,
    "negative": _negative,
    "ties": _ties,
    "equal": _equal,
    "zeros": _zeros,
    "outliers": _outliers,
    "sorted": _sorted,
}
"""Every hidden distribution, by name."""


def _mixed_integers(value: torch.Tensor, names: Sequence[str], generator: torch.Generator) -> torch.Tensor:
    flat = value.flatten()
    if torch.unique(flat).numel() == flat.numel():  # a permutation, perhaps: it stays one
        if names == ["sorted"]:
            return flat.sort().values.reshape(value.shape)
        return flat[torch.randperm(flat.numel(), generator=generator)].reshape(value.shape)
    parts = zip(flat.tensor_split(len(names)), names, strict=True)
    return torch.cat([_integers(part, name, generator) for part, name in parts]).reshape(value.shape)


def _integers(flat: torch.Tensor, name: str, generator: torch.Generator) -> torch.Tensor:
    """Observed integers in another arrangement; never a value that the problem did not show."""
    if name in ("ties", "equal"):
        return flat[:1].expand(flat.shape)
    if name == "sorted":
        return flat.sort().values
    if name == "outliers" and flat.numel():
        extremes = torch.stack([flat.min(), flat.max()])
        return extremes[torch.randint(2, flat.shape, generator=generator)]
    return flat[torch.randperm(flat.numel(), generator=generator)]
