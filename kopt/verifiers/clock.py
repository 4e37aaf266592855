"""The arithmetic of the ring clock: how many slots, which rounds, and whether their times agree.

Time per call is ``(round - empty round) / calls``. The ring exceeds twice the last-level cache, so that every
call finds its data in memory and not in the cache (caches are emptied before a round besides), and a full
round lasts at least 5 ms, so that starting and stopping the clock does not count. Rounds have random lengths
and starts: a candidate that works ahead gains in full rounds what it loses in single calls, and touches slots
it was not asked for.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROUND_SECONDS = 5e-3
MOST_SLOTS = 1024  # making more contents than this takes longer than timing them
RING_BYTES = 2 << 30
_DEFAULT_CACHE = 32 << 20


def last_level_cache(root: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int:
    """Bytes of the largest cache of this machine; 32 MiB when the system does not say."""
    sizes = []
    for entry in root.glob("index*/size"):
        text = entry.read_text().strip()
        unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:], 1)
        digits = text.rstrip("KMG")
        if digits.isdigit():
            sizes.append(int(digits) * unit)
    return max(sizes, default=_DEFAULT_CACHE)


def slots_for(slot_bytes: int, call_seconds: float, cache_bytes: int, ring_bytes: int = RING_BYTES) -> int:
    """How many slots a ring gets: enough for cache and clock, no more than memory allows, at least two."""
    for_cache = math.ceil(2 * cache_bytes / slot_bytes)
    for_clock = math.ceil(ROUND_SECONDS / max(call_seconds, 1e-7))
    affordable = max(2, ring_bytes // slot_bytes)
    return max(2, min(max(for_cache, for_clock), affordable, MOST_SLOTS))


@dataclass(frozen=True)
class Stretch:
    """The slots of one round."""

    start: int
    count: int

    @property
    def slots(self) -> range:
        """Their numbers."""
        return range(self.start, self.start + self.count)


class Schedule:
    """Draws the rounds: mostly full, some a single call or of random length. Secret, so not seeded."""

    def __init__(self, slots: int, generator: random.Random | None = None) -> None:
        self.slots = slots
        self.generator = generator or random.SystemRandom()
        self._single_next = True

    def full(self) -> Stretch:
        """Nearly the whole ring: at least three quarters of it, anywhere."""
        count = self.generator.randint(max(1, self.slots - self.slots // 4), self.slots)
        return Stretch(self.generator.randint(0, self.slots - count), count)

    def short(self) -> Stretch:
        """One call, or a random number of them, in turn."""
        single, self._single_next = self._single_next, not self._single_next
        count = 1 if single or self.slots < 4 else self.generator.randint(2, max(2, self.slots // 2))
        return Stretch(self.generator.randint(0, self.slots - count), count)


@dataclass(frozen=True)
class Agreement:
    """Whether single calls and full rounds tell the same time per call."""

    agrees: bool
    single: float
    full: float
    allowed: float


SLACK_RATIO = 1.35
SLACK_SECONDS = 150e-6


def agreement(
    single: Sequence[float],
    full: Sequence[float],
    reference_single: Sequence[float],
    reference_full: Sequence[float],
) -> Agreement:
    """Compare seconds per call of single calls with those of full rounds.

    A first call pays for sleeping threads and cold code, so a single call may take 35 % and 150 us more, and
    besides twice what the reference, by the same protocol, pays for being called once. A busy machine only
    ever adds time, so the fastest single call counts.
    """
    if not single or not full:
        return Agreement(True, 0.0, 0.0, 0.0)
    alone, together = min(single), statistics.median(full)
    extra = 0.0
    if reference_single and reference_full:
        extra = max(0.0, statistics.median(reference_single) - statistics.median(reference_full))
    allowed = together * SLACK_RATIO + SLACK_SECONDS + 2 * extra
    return Agreement(alone <= allowed, alone, together, allowed)
