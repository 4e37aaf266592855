"""Part of :mod:`bench.search`: what a candidate costs beside the model and its evaluation.

The real loop, store and ledger with ``evolve``, models that answer at once with kernels of some size, and a judge that
answers at once. Milliseconds from one evaluation's end to the next one's beginning: everything but the judge. Beside it
stands the processor time of this process, the doubles' included, which a busy neighbour does not lengthen as much.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.worlds import MODELS, PROBLEM, Outcome, describe, evaluation
from kopt.agents.bill import charge
from kopt.agents.context import Context, Cost
from kopt.rl.evolve import Breeding, Evolve
from kopt.rl.ledger import Ledger
from kopt.rl.loop import Loop
from kopt.rl.team import Team
from kopt.store import RunStatus, Store
from kopt.words import Candidate, Evaluation, Language, Style

CANDIDATES = 120
SOURCE = (Path(__file__).parent / "material" / "small_silu.cpp").read_text()
LINES = 40
"""Functions beside the kernel, to make it as long as generated kernels are."""


class Instant:
    """A model that answers at once, never the same."""

    def __init__(self, name: str) -> None:
        self.name, self._made = name, 0
        self._salt = len(name) * 1000

    def propose(self, _context: Context) -> Iterator[Candidate]:
        charge(Cost(0.001, 1.0))
        self._made += 1
        more = "\n".join(
            f"float p{self._made}_{i}(float x) {{ return x > {i}.5f ? x + {self._made}.0f : x * {self._salt}.0f; }}"
            for i in range(LINES)
        )
        yield Candidate(
            sources={"kernel.cpp": f"{SOURCE}\n{more}\n"},
            language=Language.CPP,
            entry="kernel.cpp::run",
            style=Style.DESTINATION,
            proposer=self.name,
        )

    def explain(self) -> list[str]:
        return []


def measure() -> dict[str, Any]:
    """Milliseconds per candidate: the median, and of the last tenth, where the history is longest."""
    begun: list[float] = []
    ended: list[float] = []
    busy: list[float] = []

    def judge(of: Candidate, _effort: str, _incumbent: Evaluation | None) -> Evaluation:
        begun.append(time.perf_counter())
        busy.append(time.process_time())
        ratio = 1.0 + (int(of.digest[:4], 16) % 100) / 100
        found = evaluation(of, Outcome(ratio, ratio - 0.02, ratio + 0.02))
        ended.append(time.perf_counter())
        return found

    with tempfile.TemporaryDirectory() as home, Store(f"sqlite:///{home}/kopt.db") as store:
        run = store.create_run(PROBLEM, strategy="evolve", budget={}, options={})
        with store.lease(run) as lease:
            store.set_status(lease, RunStatus.RUNNING)
            ledger = Ledger({"evaluations": CANDIDATES})
            team = Team([Instant(m.name) for m in MODELS], describe)
            strategy = Evolve(team, ledger, Breeding(patience=10_000))
            Loop(
                store=store, lease=lease, judge=judge, strategy=strategy, ledger=ledger, observer=lambda *_: None
            ).run()  # fmt: skip
    between = [1e3 * (b - e) for e, b in zip(ended, begun[1:], strict=False)]
    last = sorted(between[-CANDIDATES // 10 :])
    between.sort()
    return {
        "candidates": len(begun),
        "ms_per_candidate": {"median": between[len(between) // 2], "p95": between[int(len(between) * 0.95)]},
        "cpu_ms_per_candidate": 1e3 * (busy[-1] - busy[0]) / (len(busy) - 1),
        "ms_per_candidate_at_the_end": last[len(last) // 2],
        "bytes_per_candidate": len(next(Instant("x").propose(describe([], None))).sources["kernel.cpp"]),
    }
