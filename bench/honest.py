"""Honest candidates with odd but legal habits: how many does the judge refuse?

The whole corpus (``kopt/verifiers/redteam/honest``), several times over for what only fails now and then: with full
effort as ``kopt evaluate`` has it, quickly as a search has it, and quickly with a busy neighbour on the other core.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from bench.busy import busy
from bench.record import write
from kopt.verifiers.redteam.habits import Honest, Judged, honest, judge_honest
from kopt.verifiers.sampling import Effort

PASSES = {
    "full": (Effort.FULL, False),
    "quick": (Effort.QUICK, False),
    "quick again": (Effort.QUICK, False),
    "quick, a busy neighbour": (Effort.QUICK, True),
}


def _row(one: Honest, passes: dict[str, list[Judged]]) -> dict[str, Any]:
    mine = {name: next(j.evaluation for j in all_ if j.honest is one) for name, all_ in passes.items()}
    return {
        "name": one.name,
        "language": one.candidate.language.value,
        "problem": one.problem,
        "habit": one.habit,
        "verdicts": [evaluation.verdict.value for evaluation in mine.values()],
        "reasons": {name: evaluation.reason for name, evaluation in mine.items() if not evaluation.correct},
        "error_over_budget": max(e.errors.get("error_over_budget", 0.0) for e in mine.values()),
        "seconds": [round(evaluation.seconds, 2) for evaluation in mine.values()],
    }


def run() -> bool:
    """Judge all of them in every pass, write who was refused and why."""
    corpus = honest()

    def tell(judged: Judged) -> None:
        if judged.refused:
            print(f"  refused: {judged.honest.name}: {judged.evaluation.reason}", flush=True)

    passes = {}
    for name, (effort, neighbour) in PASSES.items():
        with busy(neighbour):
            passes[name] = judge_honest(corpus, effort=effort, observe=tell)
        print(f"{name}: {sum(j.refused for j in passes[name])} of {len(corpus)} refused", flush=True)
    rows = [_row(one, passes) for one in corpus]
    refused = sum(judged.refused for all_ in passes.values() for judged in all_)
    figures = {
        "candidates": len(corpus),
        "languages": Counter(row["language"] for row in rows),
        "judged": len(corpus) * len(passes),
        "refused": refused,
        "refused_by_pass": {name: sum(j.refused for j in all_) for name, all_ in passes.items()},
        "needed": {"candidates": 40, "refused": 0},
        "rows": rows,
    }
    write("honest", figures)
    return len(corpus) >= 40 and refused == 0
