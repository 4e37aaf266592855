"""A/A: one destination-passing kernel against itself. How often is it declared faster?

Each trial judges the kernel twice over: raced against itself as a second baseline (both sides candidates, paired),
and evaluated with its own last evaluation as the incumbent (compared through the better baseline), both quickly: the
fewest pairs that may decide. A declaration is
what ``declared_faster`` says, the rule that admits kernels to the library. At most 5 % may be declared either way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.record import write
from kopt.problems import load
from kopt.rl.candidate_file import read_candidate
from kopt.verifiers import Effort, Evaluator, statistics
from kopt.words import Speedup

MATERIAL = Path(__file__).parent / "material"
TRIALS = 100
MOST = 0.05


def _row(gains: list[Speedup]) -> dict[str, Any]:
    return {
        "trials": len(gains),
        "declared_faster": sum(statistics.declared_faster(g) for g in gains),
        "interval_above_one": sum(g.low > 1 for g in gains),
        "interval_below_one": sum(g.high < 1 for g in gains),
        "ratios": [round(g.ratio, 4) for g in gains],
        "pairs": [g.pairs for g in gains],
    }


def run() -> bool:
    """Run the trials and write what was declared."""
    problem = load(MATERIAL / "small_silu.py", {"ROWS": "2048"})
    candidate = read_candidate(MATERIAL / "small_silu.cpp")
    races, incumbents = [], []
    with Evaluator(problem) as evaluator:
        last = evaluator.evaluate(candidate, effort=Effort.QUICK)
        assert last.correct and last.gain, last.reason
        for trial in range(TRIALS):
            races.append(evaluator.race(candidate, candidate, Effort.QUICK))
            new = evaluator.evaluate(candidate, effort=Effort.QUICK)
            assert new.correct and new.gain and last.gain, new.reason
            incumbents.append(statistics.versus(new.gain, last.gain))
            last = new
            if trial % 10 == 9:
                print(trial + 1, races[-1], incumbents[-1], flush=True)
    rows = {"second baseline": _row(races), "incumbent": _row(incumbents)}
    write("same", {"rows": rows, "needed": MOST})
    for name, row in rows.items():
        print(f"{name}: declared faster {row['declared_faster']} of {row['trials']}")
    return all(row["declared_faster"] <= MOST * row["trials"] for row in rows.values())
