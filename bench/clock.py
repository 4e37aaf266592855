"""The judge's clock against an in-process clock, for the same built kernel, in turns.

Calls of about 20 us, 300 us and 10 ms. The in-process side is a trusted script of ours with the same ring of memory,
the same threads and the same allocator settings, timing with its own ``perf_counter``; the judge's side is an ordinary
match: sandbox, fresh contents, poisoned outputs, checks. Both clocks take turns; the figure is the ratio of medians,
with a bootstrap interval over the pairs.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.record import write
from kopt.problems import load
from kopt.rl.candidate_file import read_candidate
from kopt.verifiers.clock import Stretch
from kopt.verifiers.evaluator import Evaluator
from kopt.verifiers.measure import Match
from kopt.words import Candidate

MATERIAL = Path(__file__).parent / "material"
SIZES = {"20 us": (20e-6, 4096, 40), "300 us": (300e-6, 4096, 40), "10 ms": (10e-3, 65536, 10)}
GUESS = 400
WITHIN = 0.03


def candidate_with(repeat: int) -> Candidate:
    """The recurrence kernel with its length set."""
    plain = read_candidate(MATERIAL / "recurrence.cpp")
    sources = {name: f"#define REPEAT {repeat}\n{text}" for name, text in plain.sources.items()}
    return Candidate(sources=sources, language=plain.language, entry=plain.entry, style=plain.style)


def compare(elements: int, repeat: int, pairs: int) -> dict[str, Any]:
    """One size: pairs of (judge, in process) seconds per call."""
    problem = load(MATERIAL / "recurrence.py", {"REPEAT": str(repeat), "ELEMENTS": str(elements)})
    candidate = candidate_with(repeat)
    with Evaluator(problem) as evaluator, tempfile.TemporaryDirectory() as folder:
        bench = evaluator.timed[0]
        built = evaluator.sandbox.builder.build(candidate, spec_json=None)
        assert built.ok and built.artifact, built.first_error
        artifact = Path(folder, "kernel.so")
        artifact.write_bytes(built.artifact)
        slots = bench.layout.slots
        outside = subprocess.Popen(
            [sys.executable, Path(__file__).parent / "in_process.py", artifact, str(slots), str(elements)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ),
        )  # fmt: skip
        assert outside.stdin and outside.stdout
        with outside, evaluator.contestant(bench, candidate, built.artifact) as contestant:
            match = Match(bench, {"candidate": contestant})
            match.warm()
            mine, theirs = [], []
            for _ in range(pairs):
                before = len(match.full["candidate"])
                while len(match.full["candidate"]) == before:
                    match.iterate()
                mine.append(match.full["candidate"][-1])
                print(slots, file=outside.stdin, flush=True)
                theirs.append(float(outside.stdout.readline()))
            empty = float(np.median([contestant.round(Stretch(0, 0)) for _ in range(200)]))
            outside.stdin.close()
    logs = np.log(mine) - np.log(theirs)
    draws = np.median(logs[np.random.default_rng(0).integers(0, pairs, (4000, pairs))], axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return {
        "judge_us": float(np.median(mine) * 1e6),
        "in_process_us": float(np.median(theirs) * 1e6),
        "ratio": math.exp(float(np.median(logs))),
        "low": math.exp(float(low)),
        "high": math.exp(float(high)),
        "pairs": pairs,
        "slots": slots,
        "empty_round_us": empty * 1e6,
    }


def run() -> bool:
    """Measure the three sizes."""
    rows = {}
    for name, (seconds, elements, pairs) in SIZES.items():
        repeat = GUESS
        for _ in range(8):  # how long a step takes differs between machines, and on this one between hours
            rows[name] = compare(elements, repeat, pairs)
            missed = seconds / (rows[name]["in_process_us"] * 1e-6)
            if 0.75 < missed < 1.33:
                break
            repeat = round(repeat * missed)
        print(name, rows[name], flush=True)
    worst = max(abs(row["ratio"] - 1) for row in rows.values())
    write("clock", {"rows": rows, "worst_difference": worst, "needed": WITHIN})
    return worst <= WITHIN
