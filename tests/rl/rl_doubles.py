"""Test doubles: a judge that answers from a table and counts, and strategies written as lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kopt.rl.strategy import Plan, Planned, Trial
from kopt.words import Candidate, Evaluation, Language, Problem, Speedup, Style, Tunable, Verdict

PROBLEM = Problem(name="toy", format="model", sources={"toy.py": "x = 1\n"}, entry="toy.py")


def candidate(name: str, tunables: tuple[Tunable, ...] = ()) -> Candidate:
    return Candidate(
        sources={"k.cpp": f"// {name}"},
        language=Language.CPP,
        entry="k.cpp::run",
        style=Style.DESTINATION,
        tunables=tunables,
        notes={"title": name},
    )


def evaluation(
    of: Candidate, ratio: float | None, *, width: float = 0.02, seconds: float = 0.5
) -> Evaluation:
    """Correct with that ratio, or wrong when it is None."""
    speedup = None if ratio is None else Speedup(ratio=ratio, low=ratio - width, high=ratio + width)
    return Evaluation(
        problem="toy",
        problem_digest=PROBLEM.digest,
        candidate=of.digest,
        verdict=Verdict.WRONG if ratio is None else Verdict.CORRECT,
        reason="output[0] is off" if ratio is None else "",
        stages=(),
        speedup={"eager": speedup, "compile": None},
        sandbox={},
        environment={},
        seconds=seconds,
    )


class TableJudge:
    """Knows every candidate's ratio by its title; may take the process down at a given call."""

    def __init__(
        self,
        ratios: Callable[[Candidate, str], float | None],
        at: dict[int, Callable[[], None]] | None = None,
    ):
        self.ratios = ratios
        self.at = at or {}
        self.calls: list[tuple[str, str]] = []
        self.incumbents: list[float | None] = []

    def __call__(self, of: Candidate, effort: str, incumbent: Evaluation | None) -> Evaluation:
        self.calls.append((str(of.notes["title"]), effort))
        self.incumbents.append(incumbent.gain.ratio if incumbent and incumbent.gain else None)
        if len(self.calls) in self.at:
            self.at[len(self.calls)]()
        return evaluation(of, self.ratios(of, effort))


class Listed(Planned):
    """Tries candidates in the order given."""

    name = "listed"

    def __init__(self, trials: Iterable[Trial]) -> None:
        def plan() -> Plan:
            for trial in trials:
                _ = yield trial

        super().__init__(plan())

    def explain(self) -> list[str]:
        return []
