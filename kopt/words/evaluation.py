"""The judge's record of one candidate."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kopt.words.localisation import Localisation
from kopt.words.policy import Delegation, Policy
from kopt.words.profile import Profile
from kopt.words.roofline import Roofline


class Verdict(enum.StrEnum):
    """What the judge decided."""

    REJECTED = "rejected"
    BUILD_FAILED = "build_failed"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    WRONG = "wrong"
    TAMPERED = "tampered"
    CORRECT = "correct"


class StageName(enum.StrEnum):
    """The stages, cheapest first."""

    STATIC = "static"
    BUILD = "build"
    POLICY = "policy"
    TEST = "test"
    SMOKE = "smoke"
    VERIFY = "verify"
    MEASURE = "measure"
    PROFILE = "profile"


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """One stage: whether it passed, how long it took (seconds, the judge's clock) and what it found."""

    name: StageName
    passed: bool
    seconds: float
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """The worst disagreement found: where, what was expected, what was got, and the error budget there."""

    workload: str
    distribution: str
    output: str
    index: tuple[int, ...]
    expected: float
    got: float
    budget: float
    count: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds per call of one side, from paired rounds: median, 95 % interval and the raw samples."""

    median: float
    low: float
    high: float
    samples: tuple[float, ...]
    calls_per_round: int
    without_copy: float | None = None


@dataclass(frozen=True, kw_only=True)
class Speedup:
    """A paired ratio baseline / candidate with its 95 % bootstrap interval. Above 1 is faster than the baseline."""

    ratio: float
    low: float
    high: float
    pairs: int = 0


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Stages, verdict, raw samples, evidence. ``reason`` is one line that names the next step when not correct."""

    problem: str
    problem_digest: str
    candidate: str
    verdict: Verdict
    reason: str
    stages: tuple[StageRecord, ...]
    speedup: Mapping[str, Speedup | None]
    sandbox: Mapping[str, Any]
    environment: Mapping[str, Any]
    timing: Mapping[str, Timing] = field(default_factory=dict)
    worst: Mismatch | None = None
    localisation: Localisation | None = None
    errors: Mapping[str, Any] = field(default_factory=dict)
    roofline: Roofline | None = None
    build: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    policy: Policy = Policy.ALLOW_LIBRARY
    delegation: Delegation | None = None
    profile: Profile | None = None
    seconds: float = 0.0

    @property
    def correct(self) -> bool:
        """Whether the verdict is ``correct``."""
        return self.verdict is Verdict.CORRECT

    @property
    def gain(self) -> Speedup | None:
        """The speed-up over the better baseline: the smallest of those timed, or None when nothing was timed."""
        timed = [s for s in self.speedup.values() if s is not None]
        return min(timed, key=lambda s: s.ratio) if timed else None
