"""What a generated sample says about the values an input may take, and how to stay among them."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Domain:
    """Derived from one tensor: bounds, whether rows are probabilities, where zeros must stay, symmetry.

    ``fixed`` means that the values carry structure which no rearrangement keeps (all equal, a mask, offsets).
    """

    low: float = 0.0
    high: float = 0.0
    spread: float = 0.0
    unit: bool = False
    rows: bool = False
    log_rows: bool = False
    zeros: bool = False
    symmetric: bool = False
    discrete: bool = False
    fixed: bool = False
    dtype: torch.dtype = torch.float32

    @property
    def narrow(self) -> bool:
        """Whether big numbers overflow."""
        return self.dtype is torch.float16

    def enforce(self, values: torch.Tensor, sample: torch.Tensor) -> torch.Tensor:
        """``values`` brought back into the domain that ``sample`` was drawn from; as wide as they are."""
        if self.discrete:
            order = torch.randperm(sample.numel(), generator=torch.Generator().manual_seed(1))
            return widened(sample.flatten()[order].reshape(sample.shape))
        if self.log_rows:
            return torch.log_softmax(values, dim=-1)
        if self.rows:
            positive = values.abs().clamp_min(1e-12)
            return positive / positive.sum(dim=-1, keepdim=True)
        if self.unit:
            values = values.clamp(min(self.low, 1.0), 1.0)
        elif self.low >= 0:
            values = values.abs().clamp_min(min(self.low, 1e-3 * self.high))
        elif self.high <= 0:
            values = -values.abs()
        if self.symmetric:
            values = (values + values.transpose(-1, -2)) / 2
        if self.zeros:
            values = torch.where(sample == 0, 0.0, values)
        return values


def widened(values: torch.Tensor) -> torch.Tensor:
    """Floating-point values in the type they are changed in: float32, or float64 when that is their own."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def domain_of(sample: torch.Tensor) -> Domain:
    """Look at a drawn tensor and say what an unseen one may contain."""
    if not sample.is_floating_point():
        return Domain(fixed=_structured(sample))
    x = widened(sample)
    if not bool(torch.isfinite(x).all()):
        return Domain(fixed=True)
    low, high = float(x.min()), float(x.max())
    if low == high:
        return Domain(low=low, high=high, fixed=True)
    if torch.unique(x.flatten()[:4096]).numel() <= 4 and x.numel() > 16:
        return Domain(low=low, high=high, discrete=True)
    wide = x.dim() > 0 and x.shape[-1] > 1
    return Domain(
        low=low,
        high=high,
        spread=float(x.std()),
        unit=low >= 0 and high <= 1,
        rows=wide and low >= 0 and _close_to_one(x.sum(dim=-1)),
        log_rows=wide and high <= 0 and _close_to_one(x.exp().sum(dim=-1)),
        zeros=bool((x == 0).float().mean() > 0.01),
        symmetric=x.dim() >= 2 and x.shape[-1] == x.shape[-2] and bool(torch.equal(x, x.transpose(-1, -2))),
        dtype=sample.dtype,
    )


def _close_to_one(sums: torch.Tensor) -> bool:
    return bool(((sums - 1).abs() < 1e-3).all())


def _structured(sample: torch.Tensor) -> bool:
    """Offsets (sorted), masks over squares and constants keep their places."""
    if sample.numel() < 2 or bool((sample == sample.flatten()[0]).all()):
        return True
    if sample.dtype is torch.bool:
        return sample.dim() >= 2
    return sample.dim() == 1 and bool((sample[1:] >= sample[:-1]).all())
