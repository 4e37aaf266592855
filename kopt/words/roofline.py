"""The bound on this machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Roofline:
    """The bound on this machine. ``percent`` is bound / measured time * 100; ``limit`` names what binds."""

    percent: float
    bound_seconds: float
    limit: str
    bandwidth: float
    flops: float
