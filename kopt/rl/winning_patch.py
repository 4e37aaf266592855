"""The winner of a code problem as a git patch that carries its figures."""

from __future__ import annotations

from pathlib import Path

from kopt.problems.patches import make_patch
from kopt.words import Candidate, Evaluation, Problem

_SHOWN = ("cpu", "cores", "compiler", "python")


def patch_text(problem: Problem, candidate: Candidate, evaluation: Evaluation) -> str:
    """A patch for ``git apply`` in the problem's folder, under before and after."""
    lines = [f"{problem.name}: {evaluation.reason}", ""]
    for name, timing in evaluation.timing.items():
        lines.append(
            f"{name}: {timing.median:.6g} s (95 % interval {timing.low:.6g} to {timing.high:.6g}, "
            f"{len(timing.samples)} runs)"
        )
    machine = [
        f"{name} {evaluation.environment[name]}" for name in _SHOWN if evaluation.environment.get(name)
    ]
    lines += [
        f"measured by kopt; {', '.join(machine)}",
        f"problem {problem.digest[:12]}, change {candidate.digest[:12]}",
    ]
    heading = "\n".join(" ".join(line.split()) for line in lines)
    return make_patch(problem.sources, candidate.sources, heading)


def save_patch(
    folder: Path, run: str, problem: Problem, candidate: Candidate, evaluation: Evaluation
) -> Path:
    """Write the patch; a run has one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{problem.name}-{run}.patch"
    path.write_text(patch_text(problem, candidate, evaluation), encoding="utf-8")
    return path
