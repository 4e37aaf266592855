"""Throughput: how busy the judge is while models, 100 ms away, propose; and whether proposing disturbs its clock.

The real loop, store, ledger and ``evolve``; a model that answers after 100 ms, through the real proposer: prompts are
built, replies parsed, edits applied. Three judges: the real one with quick effort (it builds and measures for seconds),
and stand-ins that take 200 ms and 50 ms, which no judge that builds and times does. A judge is busy from being asked to
its answer; what counts is from its first question to its last answer.

Beside it: one kernel judged in turns with nobody proposing and with eight threads that do nothing but propose, which is
more than any run does. The ratio of its seconds per call says what that does to what is measured.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.contest import middle
from bench.record import write
from bench.worlds import Outcome, evaluation
from kopt.agents.chat.words import Reply, Request
from kopt.agents.context import Context, Wanted
from kopt.agents.llm import LlmProposer
from kopt.problems import load
from kopt.rl.evolve import Breeding, Evolve
from kopt.rl.ledger import EVALUATIONS, Ledger
from kopt.rl.loop import Judge, Loop
from kopt.rl.team import Team
from kopt.store import RunStatus, Store
from kopt.verifiers import Effort, Evaluator
from kopt.words import Candidate, Evaluation, Language, Style

MATERIAL = Path(__file__).parent / "material"
LATENCY, IN_FLIGHT, NEED = 0.1, 8, 0.9
REAL, STAND_IN, PAIRS = 16, 60, 16
SOURCE = (MATERIAL / "small_silu.cpp").read_text()


class Distant:
    """A double of a model: it thinks for 100 ms, and never says the same twice."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._count = itertools.count(1)

    def complete(self, request: Request, *, sample: int = 0) -> Reply:
        """A kernel with a function more that is its own."""
        time.sleep(LATENCY)
        number = next(self._count) + 1000 * len(self.name)
        own = f"static float of_{number}(float x) {{ return x * {number}.0f; }}\n"
        used = SOURCE.replace("out[i] = ", f"out[i] = 0.0f * of_{number}(1.0f) + ")
        text = used.replace("void run", own + "void run", 1)
        return Reply(model=self.name, text=f"One more.\n```cpp\n{text}```\n", took=LATENCY)


def _team(describe: Callable[..., Context], in_flight: int) -> Team:
    return Team([LlmProposer(Distant(name)) for name in ("a", "bb", "ccc")], describe, in_flight=in_flight)


def _run(evaluator: Evaluator, judge: Judge, candidates: int, in_flight: int) -> dict[str, float]:
    """The share of the time that a judge is busy, and its seconds per candidate."""
    asked: list[tuple[float, float]] = []

    def watched(of: Candidate, effort: Any, incumbent: Evaluation | None) -> Evaluation:
        began = time.perf_counter()
        found = judge(of, effort, incumbent)
        asked.append((began, time.perf_counter()))
        return found

    def describe(history: Any, best: Any) -> Context:
        return Context(
            problem=evaluator.problem, specs=evaluator.specs, history=tuple(history), incumbent=best
        )

    with tempfile.TemporaryDirectory() as home, Store(f"sqlite:///{home}/kopt.db") as store:
        run = store.create_run(evaluator.problem, strategy="evolve", budget={}, options={})
        with store.lease(run) as lease:
            store.set_status(lease, RunStatus.RUNNING)
            ledger = Ledger({EVALUATIONS: candidates})
            strategy = Evolve(_team(describe, in_flight), ledger, Breeding(patience=10_000, alike=2.0))
            Loop(
                store=store,
                lease=lease,
                judge=watched,
                strategy=strategy,
                ledger=ledger,
                observer=lambda *_: None,
            ).run()
    busy = sum(end - begin for begin, end in asked)
    return {"busy": busy / (asked[-1][1] - asked[0][0]), "seconds": busy / len(asked), "judged": len(asked)}


def _stand_in(seconds: float) -> Judge:
    def judge(of: Candidate, _effort: Any, _incumbent: Evaluation | None) -> Evaluation:
        time.sleep(seconds)
        ratio = 1.0 + (int(of.digest[:4], 16) % 100) / 100
        return evaluation(of, Outcome(ratio, ratio - 0.02, ratio + 0.02, seconds))

    return judge


@contextlib.contextmanager
def _proposing(evaluator: Evaluator) -> Iterator[None]:
    """Eight threads that propose without end."""
    over = threading.Event()
    context = Context(problem=evaluator.problem, specs=evaluator.specs, wanted=Wanted(role="writer"))

    def propose(proposer: LlmProposer) -> None:
        while not over.is_set():
            next(iter(proposer.propose(context)), None)

    threads = [
        threading.Thread(target=propose, args=(LlmProposer(Distant("x" * n)),))
        for n in range(1, IN_FLIGHT + 1)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _disturbance(evaluator: Evaluator) -> dict[str, Any]:
    """Seconds per call of one kernel with others proposing over without, pairwise."""
    of = Candidate(
        sources={"k.cpp": SOURCE}, language=Language.CPP, entry="k.cpp::run", style=Style.DESTINATION
    )
    evaluator.evaluate(of, effort=Effort.QUICK)
    times, gains = [], []
    for pair in range(PAIRS):
        found = {}
        for proposing in (True, False) if pair % 2 else (False, True):
            with _proposing(evaluator) if proposing else contextlib.nullcontext():
                found[proposing] = evaluator.evaluate(of, effort=Effort.QUICK)
        if all(e.correct and e.gain for e in found.values()):
            times.append(found[True].timing["candidate"].median / found[False].timing["candidate"].median)
            gains.append(found[True].gain.ratio / found[False].gain.ratio)  # type: ignore[union-attr]
    luck = np.random.default_rng(0)
    return {"pairs": len(times), "seconds": middle(times, luck), "gain": middle(gains, luck)}


def run() -> bool:
    """Measure, write, and say whether the figure was reached."""
    rows: dict[str, Any] = {}
    with Evaluator(load(MATERIAL / "small_silu.py")) as evaluator:

        def real(of: Candidate, _effort: Any, incumbent: Evaluation | None) -> Evaluation:
            return evaluator.evaluate(of, effort=Effort.QUICK, incumbent=incumbent)

        judges: dict[str, tuple[Judge, int]] = {
            "real": (real, REAL),
            "200 ms": (_stand_in(0.2), STAND_IN),
            "50 ms": (_stand_in(0.05), STAND_IN),
        }
        for name, (judge, count) in judges.items():
            rows[name] = {str(n): _run(evaluator, judge, count, n) for n in (1, IN_FLIGHT)}
            print(name, rows[name], flush=True)
        disturbed = _disturbance(evaluator)
    print(disturbed)
    write(
        "throughput",
        {"latency": LATENCY, "needed": NEED, "in_flight": rows, "proposing_over_not": disturbed},
    )
    return bool(rows["real"][str(IN_FLIGHT)]["busy"] >= NEED)
