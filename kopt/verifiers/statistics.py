"""Ratios with intervals: when a difference may be called a difference.

A pair times baseline and candidate one after the other on the same contents; its ratio is free of slow drifts
of the machine. The figure is the median of the ratios, its interval a percentile bootstrap of that median.

Looking at the data again and again and stopping when it pleases would find differences where there are none.
Therefore looks are few and fixed (:func:`looks`), none is taken before ``LEAST`` pairs, intervals are wider
than their name (``CONFIDENCE`` 99 %, reported as at least 95 %), sampling stops when the interval is
*narrow*, not when it is favourable, and a win must exceed ``MINIMUM_EFFECT`` besides
(:func:`declared_faster`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kopt.words import Speedup, Timing

CONFIDENCE = 0.99
LEAST = 8
TIGHT = 0.015
MINIMUM_EFFECT = 0.02
_RESAMPLES = 2000


def _medians(values: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.float64]:
    draw = np.random.default_rng(seed).integers(0, values.size, (_RESAMPLES, values.size))
    return np.asarray(np.median(values[draw], axis=1))


def interval(
    values: Sequence[float], confidence: float = CONFIDENCE, seed: int = 0
) -> tuple[float, float, float]:
    """Median of ``values`` with its percentile bootstrap interval; their range when fewer than six."""
    sample = np.asarray(values, np.float64)
    middle = float(np.median(sample))
    if sample.size < 6:
        return middle, float(sample.min()), float(sample.max())
    medians = _medians(sample, seed)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(medians, [tail, 1.0 - tail])
    return middle, min(float(low), middle), max(float(high), middle)


def speedup(baseline: Sequence[float], candidate: Sequence[float]) -> Speedup:
    """The paired ratio ``baseline / candidate`` with its interval."""
    return pooled([(baseline, candidate)])


def pooled(sittings: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Speedup:
    """The paired ratio over several sittings (baseline, candidate), each in memory and processes of its own.

    Within a sitting the memory behind a ring, and where a process came to lie, favour one side by some per cent
    for as long as they last, which no number of pairs averages. So the interval reaches besides from the least to
    the greatest sitting: what one of them denies is not declared.
    """
    logs = [np.log(np.asarray(baseline)) - np.log(np.asarray(candidate)) for baseline, candidate in sittings]
    middle, low, high = interval(list(np.concatenate(logs)))
    medians = [float(np.median(one)) for one in logs]
    return Speedup(
        ratio=math.exp(middle),
        low=math.exp(min(low, *medians)),
        high=math.exp(max(high, *medians)),
        pairs=sum(int(one.size) for one in logs),
    )


def combined(parts: Sequence[Speedup]) -> Speedup:
    """The geometric mean of independent speed-ups (one per workload), intervals combined in the logarithm."""
    logs = [math.log(p.ratio) for p in parts]
    middle = sum(logs) / len(parts)
    below = math.sqrt(sum((x - math.log(p.low)) ** 2 for x, p in zip(logs, parts, strict=True))) / len(parts)
    above = math.sqrt(sum((math.log(p.high) - x) ** 2 for x, p in zip(logs, parts, strict=True))) / len(parts)
    return Speedup(
        ratio=math.exp(middle),
        low=math.exp(middle - below),
        high=math.exp(middle + above),
        pairs=min(p.pairs for p in parts),
    )


def versus(candidate: Speedup, incumbent: Speedup) -> Speedup:
    """How much faster the candidate is than the incumbent, from their speed-ups over the same baseline.

    The two were measured at different times, which differ more than either interval tells: enough to give a
    candidate up early, not to declare it faster. That takes a race (:meth:`~kopt.verifiers.evaluator.Evaluator.race`).
    """
    ratio = candidate.ratio / incumbent.ratio
    below = math.hypot(math.log(candidate.ratio / candidate.low), math.log(incumbent.high / incumbent.ratio))
    above = math.hypot(math.log(candidate.high / candidate.ratio), math.log(incumbent.ratio / incumbent.low))
    pairs = min(candidate.pairs, incumbent.pairs)
    return Speedup(ratio=ratio, low=ratio * math.exp(-below), high=ratio * math.exp(above), pairs=pairs)


def declared_faster(gain: Speedup | None) -> bool:
    """Whether a speed-up may be called one: interval above 1, ratio above the minimum, enough pairs."""
    return gain is not None and gain.pairs >= LEAST and gain.low > 1.0 and gain.ratio >= 1.0 + MINIMUM_EFFECT


def tight(gain: Speedup, width: float = TIGHT) -> bool:
    """Whether the interval reaches at most ``width`` to either side of the ratio."""
    return gain.high <= gain.ratio * (1 + width) and gain.low >= gain.ratio * (1 - width)


def looks(most: int) -> list[int]:
    """After how many pairs the interval is looked at: 8, each time half as many more, at last ``most``."""
    when = []
    pairs = LEAST
    while pairs < most:
        when.append(pairs)
        pairs = -(-pairs * 3 // 2)
    return [*when, most]


def timing(samples: Sequence[float], calls: int, without_copy: float | None = None) -> Timing:
    """Seconds per call from rounds: median and interval."""
    middle, low, high = interval(samples)
    return Timing(
        median=middle,
        low=low,
        high=high,
        samples=tuple(samples),
        calls_per_round=calls,
        without_copy=without_copy,
    )
