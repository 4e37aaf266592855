"""A look at outputs at the moment of the answer, in places drawn before the call that nobody else knows.

A candidate can answer for itself before its work is done, and finish it while it is being stopped. That shows:
bytes that lie still from the answer on are the same in the glance and after the freeze.
"""

from __future__ import annotations

import secrets

import numpy as np

from kopt.verifiers.clock import Stretch
from kopt.verifiers.layout import Bytes
from kopt.verifiers.ring import Ring

_PLACES = 384  # read in some 20 us; a hundredth of the outputs left undone is seen with probability 0.98


class Glance:
    """Random bytes of the outputs of a stretch."""

    def __init__(self, ring: Ring, stretch: Stretch) -> None:
        self.ring = ring
        places = [p for p in ring.layout.role("output") if p.nbytes]
        self._seen: Bytes | None = None
        self._slots = self._bytes = np.empty(0, np.int64)
        if not places or not stretch.count:
            return
        generator = np.random.default_rng(secrets.randbits(128))
        self._slots = generator.integers(stretch.start, stretch.start + stretch.count, _PLACES)
        self._bytes = np.concatenate(
            [p.offset + generator.integers(0, p.nbytes, -(-_PLACES // len(places))) for p in places]
        )[:_PLACES]

    def take(self) -> None:
        """Look."""
        self._seen = self.ring.rows[self._slots, self._bytes]

    def changed(self) -> bool:
        """Whether anything is not as it was."""
        return bool((self.ring.rows[self._slots, self._bytes] != self._seen).any())
