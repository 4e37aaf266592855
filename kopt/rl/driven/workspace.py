"""The agent's folder: the task, the problem as candidates may know it, and the command that asks.

It is made before the agent begins and never written again from outside: what an agent can write could be a link to
somewhere else. What was judged is kept in a folder of its own, which the agent gets read-only.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kopt.problems.code import rules_of
from kopt.problems.folder import visible
from kopt.problems.shown import shown_text
from kopt.rl.service import answers
from kopt.words import Candidate, Evaluation, Problem

if TYPE_CHECKING:
    from kopt.verifiers.code import CodeEvaluator
    from kopt.verifiers.evaluator import Evaluator

JUDGED, DOOR, RESULTS = "judged", ".door", "results.tsv"
_HEAD = "number\tverdict\tspeedup\tlow\thigh\n"


class Workspace:
    """A new folder in a run's ``folder``, for one agent, and what was judged beside it."""

    def __init__(self, folder: Path, problem: Problem, evaluator: Evaluator | CodeEvaluator) -> None:
        earlier = len(list(folder.glob("workspace-*")))
        self.place, self._problem = folder / f"workspace-{earlier + 1}", problem
        self.judged = folder / "judged"
        shutil.rmtree(self.judged, ignore_errors=True)
        for made in (self.place / JUDGED, self.judged):
            made.mkdir(parents=True)
        (self.place / DOOR).touch()
        if problem.format == "code":
            self._put_code()
        else:
            self._put_kernel(cast("Evaluator", evaluator))
        client = self.place / "judge"
        client.write_text(_own("judge"))
        client.chmod(0o755)
        self._listed = 0
        (self.judged / RESULTS).write_text(_HEAD)

    def _put_kernel(self, evaluator: Evaluator) -> None:
        described = answers.description(self._problem, evaluator)
        (self.place / "reference.py").write_text(shown_text(self._problem))
        described.pop("reference", None)
        (self.place / "problem.json").write_text(json.dumps(described, indent=1) + "\n")
        (self.place / "TASK.md").write_text(_own("TASK.md"))

    def _put_code(self) -> None:
        rules = rules_of(self._problem)
        task = _own("TASK-CODE.md").replace("EDITABLE", ", ".join(f"`{name}`" for name in rules.editable))
        (self.place / "TASK.md").write_text(task.replace("ABOUT", rules.about.strip()))
        project = self.place / "project"
        for name, text in visible(self._problem.sources).items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(text)

    def note(self, candidate: Candidate, evaluation: Evaluation) -> None:
        """List what was judged."""
        self._listed += 1
        gain = evaluation.gain
        figures = [f"{v:.3g}" for v in (gain.ratio, gain.low, gain.high)] if gain else ["", "", ""]
        with open(self.judged / RESULTS, "a") as file:  # noqa: PTH123
            file.write("\t".join([str(self._listed), evaluation.verdict.value, *figures]) + "\n")
        kept = self.judged / str(self._listed)
        with contextlib.suppress(OSError):  # names that no folder takes: the judge has said so
            for name, text in candidate.sources.items():
                (kept / name).parent.mkdir(parents=True, exist_ok=True)
                (kept / name).write_text(text)


def _own(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
