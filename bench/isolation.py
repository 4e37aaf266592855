"""What isolation costs per candidate: no isolation, bubblewrap and Docker, in turns.

``open``: from nothing to the first runner, once per problem. ``candidate``: fork a runner, load a candidate, map the
ring, call it once, end it: once per candidate. ``round``: an empty round, what the clock subtracts from every
measurement. Medians; the difference to no isolation is the price. Docker is left out where it cannot be used.
``judged`` (:mod:`bench.judged`): a real candidate with its verification, and its time per call by the judge's clock.

The middle values decide, of what a candidate costs and of how much slower a call is; the interval of the latter is
recorded and decides nothing: one that is wide would pass by its lower end.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import judged
from bench.record import write
from kopt.sandbox import Role, Sandbox, SharedBuffer, open_sandbox
from kopt.sandbox.status import backends
from kopt.settings import Settings

KINDS = ("none", "bubblewrap", "docker")
OPENED, CANDIDATES, ROUNDS = 3, 40, 2000
MORE = 0.050
"""Seconds isolation may add per candidate: a C++ build takes forty times as long."""
SLOWER = 0.02
"""Share by which a call may be slower: the judge's minimum effect."""
SOURCE = {"language": "torch", "sources": {"c.py": "def run(x):\n    return x\n"}, "entry": "c.py::run"}
TENSOR = {"dtype": "float32", "shape": [1024], "strides": [1]}
LAYOUT = {
    "slots": 1,
    "stride": 8192,
    "tensors": [
        {"role": "input", "name": "x", "offset": 0, **TENSOR},
        {"role": "output", "name": "y", "offset": 4096, **TENSOR},
    ],
}


def timed(action: Callable[[], object]) -> float:
    """Seconds an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def candidate(sandbox: Sandbox, ring: SharedBuffer) -> None:
    """One candidate's life."""
    with sandbox.spawn(Role.CANDIDATE) as runner:
        runner.request("load_candidate", SOURCE | {"style": "returning"})
        runner.request("attach", {"ring": LAYOUT}, fds=[ring.fd])
        runner.round(0, 1)


def opened(kind: str, home: Path) -> None:
    """A sandbox until its first runner stands, and its end."""
    with open_sandbox(kind, settings=Settings(home=home)) as sandbox:
        sandbox.spawn(Role.CANDIDATE).kill()


def measure(kinds: list[str], home: Path) -> dict[str, dict[str, Any]]:
    """Every kind in turns, so that a slow minute slows all of them."""
    starts: dict[str, list[float]] = {kind: [] for kind in kinds}
    lives: dict[str, list[float]] = {kind: [] for kind in kinds}
    rounds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(OPENED):
        for kind in kinds:
            starts[kind].append(timed(lambda kind=kind: opened(kind, home)))  # type: ignore[misc]
    with ExitStack() as stack:
        ring = stack.enter_context(SharedBuffer(8192))
        boxes = {k: stack.enter_context(open_sandbox(k, settings=Settings(home=home))) for k in kinds}
        for _ in range(CANDIDATES):
            for kind, box in boxes.items():
                lives[kind].append(timed(lambda box=box: candidate(box, ring)))  # type: ignore[misc]
        runners = {kind: stack.enter_context(box.spawn(Role.CANDIDATE)) for kind, box in boxes.items()}
        for runner in runners.values():
            runner.request("load_candidate", SOURCE | {"style": "returning"})
        for _ in range(ROUNDS):
            for kind, runner in runners.items():
                rounds[kind].append(runner.round(0, 0))
    return {
        kind: {
            "open_and_close_s": statistics.median(starts[kind]),
            "candidate_ms": statistics.median(lives[kind]) * 1e3,
            "empty_round_us": statistics.median(rounds[kind]) * 1e6,
        }
        for kind in kinds
    }


def run() -> bool:
    """Measure the back ends this machine has; true when none costs more than it may."""
    usable = {"none": {"usable": True}, **backends()}
    kinds = [kind for kind in KINDS if usable[kind]["usable"]]
    with tempfile.TemporaryDirectory() as home:
        rows = measure(kinds, Path(home))
        verified = judged.measure(kinds, Path(home))
    for kind, row in rows.items():
        print(kind, {name: round(value, 2) for name, value in row.items()}, flush=True)
    for kind, row in verified.items():
        print(kind, row, flush=True)
    more = {kind: (row["candidate_ms"] - rows["none"]["candidate_ms"]) / 1e3 for kind, row in rows.items()}
    figures = {"rows": rows, "judged": verified, "added_seconds": more, "cpus": os.cpu_count()}
    write("isolation", {**figures, "needed": {"added_seconds": MORE, "slower_per_call": SLOWER}})
    return max(more.values()) <= MORE and all(
        row["call_over_none"]["ratio"] <= 1 + SLOWER for row in verified.values()
    )
