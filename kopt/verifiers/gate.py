"""One call at a time, on inputs that do not exist before it is asked for.

A round's slots are filled before it begins, and a candidate owns its process: it can read from the loop that calls
it how many calls will come, do them all in the first, and save what a call costs besides its work. Through the gate
it cannot. Calls follow each other as closely as messages allow, so that threads stay awake as they do in a round, but
each slot's inputs are written when the clock of its call is already running. What being called by message costs is
known from the reference, which is called in the same way. Where the quickest of many such calls takes longer than a
call in full rounds does, it is what counts: nobody is accused, and nothing is gained. A compiled kernel takes no
longer; a Python one up to twice as long where calls are short, for the interpreter's caches cool between messages.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kopt.verifiers.clock import Stretch
from kopt.verifiers.glance import Glance
from kopt.verifiers.layout import Bytes
from kopt.verifiers.ring import Ring

CALLS = 24
LONGEST = 1e-3  # seconds per call beyond which what a call costs besides its work does not matter
Contents = Sequence[tuple[Bytes, ...]]


def paced(
    ring: Ring, ask: Callable[[int, int], int], slots: Sequence[int], contents: Contents, count: int = 1
) -> tuple[list[float], list[Glance]]:
    """Seconds of each call, and what was seen of its outputs at its answer.

    ``ask`` has ``count`` slots called from a first one on and returns the moment of the answer, in nanoseconds of
    ``time.perf_counter_ns``.
    """
    glances = [Glance(ring, Stretch(slot, 1)) for slot in slots]
    seconds = []
    for slot, content, glance in zip(slots, contents, glances, strict=True):
        begin = time.perf_counter_ns()
        ring.put_inputs(slot, content)
        answered = ask(slot, count)
        glance.take()
        seconds.append((answered - begin) * 1e-9)
    return seconds, glances


@dataclass
class Gate:
    """Seconds of all calls so far: of one side, of the reference, and of messages to the reference without a call."""

    calls: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)
    empty: list[float] = field(default_factory=list)

    def per_call(self, reference_full: Sequence[float]) -> float:
        """Seconds of the quickest call without its message, given the reference's seconds per call in full rounds."""
        message = min(self.empty)
        if self.reference:  # what else a call by message costs whoever is honest
            message = max(message, min(self.reference) - statistics.median(reference_full))
        return min(self.calls) - message
