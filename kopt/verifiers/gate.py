"""One call at a time, on inputs that do not exist before it is asked for.

A round's slots are filled before it begins, and a candidate owns its process: it can read from the loop that calls
it how many calls will come, do them all in the first, and save what a call costs besides its work. Through the gate
it cannot. Calls follow each other as closely as messages allow, so that threads stay awake as they do in a round, but
each slot's inputs are written when the clock of its call is already running. What being called by message costs is
known from the reference. Where the quickest of many such calls takes longer than a call in full rounds does, it is what
counts: nobody is accused, and nothing is gained. Baselines are not charged: what is uncertain here, some ten
microseconds, may make a candidate look slower and never faster.

A core that has nothing to do halts, and takes tens of microseconds to wake. So while the gate is used every core is
kept awake by a process that any other displaces (:func:`awake`).
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

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


@contextlib.contextmanager
def awake() -> Iterator[None]:
    """Keep the cores from halting; whoever has work goes first."""
    spinners = []
    try:
        for _ in os.sched_getaffinity(0):
            with contextlib.suppress(OSError):
                # Ends by itself, were nobody left to end it: one second of processor time is far more than it needs.
                spinner = subprocess.Popen(
                    ["sh", "-c", "ulimit -t 1; while :; do :; done"], start_new_session=True
                )
                spinners.append(spinner)
                os.sched_setscheduler(spinner.pid, os.SCHED_IDLE, os.sched_param(0))
                # Where sessions share the processor evenly, the least of its session would still get half of it.
                Path(f"/proc/{spinner.pid}/autogroup").write_text("19")
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def per_call(
    calls: Sequence[float],
    empty: Sequence[float],
    reference: Sequence[float],
    reference_full: Sequence[float],
) -> float:
    """Seconds of the quickest call without its message. A busy machine only ever adds time.

    ``empty`` are messages without a call, ``reference`` calls of the reference through the gate, if there are any, and
    ``reference_full`` its seconds per call in full rounds: called by message, the honest may need more than a message.
    """
    message = min(empty)
    if reference and reference_full:
        message = max(message, min(reference) - statistics.median(reference_full))
    return max(0.0, min(calls) - message)
