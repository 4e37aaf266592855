"""A/A: one destination-passing kernel against itself. How often is it declared faster?

Each trial judges the kernel twice over: raced against itself with full effort (both sides candidates, paired: the
sampling that decides what the library admits), and evaluated quickly with its own last evaluation as the incumbent.
The two evaluations are minutes apart, so what they say against each other through the better baseline compares the
minutes as well: a search uses that to give up early, never to declare. Where it says "faster", a race decides; how
often it said so is written beside it. A declaration is what ``declared_faster`` says. At most 5 % may be declared,
with the machine to itself and with a busy neighbour on the other core; nor may the judge accuse the kernel of
anything.

``KOPT_BENCH_TRIALS=10`` runs fewer, to see that it works; a run of less than 100 writes nothing. Results are written
after each half.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.busy import busy
from bench.record import write
from kopt.problems import load
from kopt.rl.candidate_file import read_candidate
from kopt.verifiers import Effort, Evaluator, Failure, statistics
from kopt.words import Candidate, Evaluation, Speedup

MATERIAL = Path(__file__).parent / "material"
TRIALS = 100  # of each kind: 200 by itself, 200 with a neighbour
WRITTEN = 100
MOST = 0.05


@dataclass
class Row:
    """The trials of one kind."""

    gains: list[Speedup] = field(default_factory=list)
    suspected: int = 0
    refused: list[str] = field(default_factory=list)

    @property
    def trials(self) -> int:
        """How many there were."""
        return len(self.gains) + len(self.refused)

    @property
    def declared(self) -> int:
        """How many were declared faster."""
        return sum(statistics.declared_faster(gain) for gain in self.gains)

    @property
    def holds(self) -> bool:
        """Whether the figure is what is needed."""
        return not self.refused and self.declared <= MOST * self.trials

    def told(self) -> dict[str, Any]:
        """As it is written down."""
        return {
            "trials": self.trials,
            "declared_faster": self.declared,
            "unpaired_comparison_said_faster": self.suspected,
            "refused": self.refused,
            "interval_above_one": sum(g.low > 1 for g in self.gains),
            "interval_below_one": sum(g.high < 1 for g in self.gains),
            "ratios": [round(g.ratio, 4) for g in self.gains],
            "pairs": [g.pairs for g in self.gains],
        }


def _race(evaluator: Evaluator, candidate: Candidate, row: Row) -> None:
    try:
        row.gains.append(evaluator.race(candidate, candidate, Effort.FULL))
    except Failure as failure:
        row.refused.append(failure.reason)


def _again(evaluator: Evaluator, candidate: Candidate, last: Evaluation, row: Row) -> Evaluation:
    new = evaluator.evaluate(candidate, effort=Effort.QUICK)
    if not new.correct or new.gain is None or last.gain is None:
        row.refused.append(new.reason)
        return last
    unpaired = statistics.versus(new.gain, last.gain)
    if statistics.declared_faster(unpaired):
        row.suspected += 1
        _race(evaluator, candidate, row)
    else:
        row.gains.append(unpaired)
    return new


def run() -> bool:
    """Run the trials and write what was declared."""
    trials = int(os.environ.get("KOPT_BENCH_TRIALS", TRIALS))
    candidate = read_candidate(MATERIAL / "outer_sum.cpp")
    rows: dict[str, Row] = {}
    with Evaluator(load(MATERIAL / "outer_sum.py")) as evaluator:
        last = evaluator.evaluate(candidate, effort=Effort.QUICK)
        assert last.correct and last.gain, last.reason
        for load_, neighbour in (("", False), (", a busy neighbour", True)):
            race = rows[f"second baseline{load_}"] = Row()
            incumbent = rows[f"incumbent{load_}"] = Row()
            with busy(neighbour):
                for trial in range(trials):
                    _race(evaluator, candidate, race)
                    last = _again(evaluator, candidate, last, incumbent)
                    if trial % 20 == 19:
                        print(
                            f"{trial + 1}{load_}: {race.declared} and {incumbent.declared} declared",
                            flush=True,
                        )
            if trials >= WRITTEN:
                write("same", {"rows": {name: row.told() for name, row in rows.items()}, "needed": MOST})
    for name, row in rows.items():
        print(f"{name}: declared faster {row.declared} of {row.trials}, refused {len(row.refused)}")
    return all(row.holds for row in rows.values())
