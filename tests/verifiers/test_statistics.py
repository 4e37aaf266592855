"""Intervals, and how often a difference is found where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from kopt.verifiers.statistics import (
    combined,
    declared_faster,
    interval,
    looks,
    pooled,
    speedup,
    tight,
    versus,
)
from kopt.words import Speedup


def draw(rng: np.random.Generator, count: int, noise: float) -> np.ndarray:
    """Seconds with the heavy tail of a busy machine."""
    burst = (rng.random(count) < 0.15) * rng.exponential(10 * noise, count)
    return 1e-3 * np.exp(rng.normal(0, noise, count) + burst)


def campaign(rng: np.random.Generator, gain: float, noise: float, drift: float) -> Speedup:
    """What a full measurement does: look at fixed moments, stop when the interval is tight."""
    baseline = candidate = np.empty(0)
    found = Speedup(ratio=1, low=1, high=1)
    for pairs in looks(60):
        more = pairs - baseline.size
        slow = np.exp(drift * np.sin(np.arange(baseline.size, pairs) / 7))
        baseline = np.append(baseline, slow * draw(rng, more, noise) * gain)
        candidate = np.append(candidate, slow * draw(rng, more, noise))
        found = speedup(list(baseline), list(candidate))
        if tight(found):
            break
    return found


@pytest.mark.parametrize("noise", [0.003, 0.01, 0.03, 0.1])
def test_a_against_a_is_declared_faster_in_at_most_five_per_cent(noise: float) -> None:
    rng = np.random.default_rng(7)
    wins = sum(declared_faster(campaign(rng, 1.0, noise, 0.2)) for _ in range(200))
    assert wins <= 10


@pytest.mark.parametrize(("gain", "noise"), [(1.05, 0.01), (1.2, 0.05)])
def test_real_gains_are_found(gain: float, noise: float) -> None:
    rng = np.random.default_rng(7)
    found = [campaign(rng, gain, noise, 0.2) for _ in range(50)]
    assert sum(declared_faster(f) for f in found) >= 45
    assert sum(f.low <= gain <= f.high for f in found) >= 45


def test_gains_below_the_stated_minimum_are_not_declared() -> None:
    assert not declared_faster(Speedup(ratio=1.01, low=1.005, high=1.015, pairs=60))
    assert not declared_faster(Speedup(ratio=1.5, low=1.2, high=1.8, pairs=3))
    assert not declared_faster(None)
    assert declared_faster(Speedup(ratio=1.05, low=1.03, high=1.07, pairs=20))


def test_interval_of_few_is_their_range() -> None:
    assert interval([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
    assert interval([2.0] * 20) == (2.0, 2.0, 2.0)


def test_speedup_is_paired() -> None:
    drift = np.linspace(1, 10, 12)
    found = speedup(list(2 * drift), list(drift))
    assert (found.ratio, found.low, found.high) == pytest.approx((2, 2, 2))
    assert found.pairs == 12


def test_what_one_sitting_denies_is_not_declared() -> None:
    rng = np.random.default_rng(5)
    base = draw(rng, 40, 0.01)
    lucky, other = (base, base / 1.10), (base, base / 0.98)
    apart = pooled([lucky, other])
    assert apart.low == pytest.approx(0.98)
    assert apart.high == pytest.approx(1.10)
    assert apart.pairs == 80
    assert not declared_faster(apart)
    assert declared_faster(pooled([lucky, lucky]))


def test_combined_is_the_geometric_mean() -> None:
    found = combined([Speedup(ratio=2, low=2, high=2, pairs=9), Speedup(ratio=8, low=8, high=8, pairs=7)])
    assert (found.ratio, found.low, found.high) == pytest.approx((4, 4, 4))
    assert found.pairs == 7


def test_versus_divides_and_widens() -> None:
    mine, theirs = Speedup(ratio=3, low=2.7, high=3.3), Speedup(ratio=2, low=1.8, high=2.2)
    found = versus(mine, theirs)
    assert found.ratio == pytest.approx(1.5)
    assert found.low < 1.5 * 0.9
    assert found.high > 1.5 * 1.1


def test_looks_are_few_and_end_with_the_last() -> None:
    assert looks(60) == [8, 12, 18, 27, 41, 60]
