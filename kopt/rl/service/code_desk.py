"""What the service answers about a code problem: its files and commands, verdicts on changes, the winner's patch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kopt.agents.context import MACHINE
from kopt.problems.code import pair, rules_of, visible
from kopt.rl.service import answers
from kopt.rl.strategy import is_win
from kopt.rl.winning_patch import patch_text
from kopt.words import Candidate, Problem

if TYPE_CHECKING:
    from kopt.verifiers.code import CodeEvaluator

MOST_SHOWN = 128 << 10
"""Bytes of files that are shown, the editable ones first."""
MOST_PAIR = 2_000
HOW = (
    "send the files you change or add, whole: {'files': {path: text}}; within the editable paths and markers"
)


def description(problem: Problem, evaluator: CodeEvaluator) -> dict[str, Any]:
    """What a change's author needs: files, commands, examples; nothing under ``judge/``."""
    rules = rules_of(problem)
    files, left_out = _shown(problem)
    examples = {}
    for name in rules.shown:
        given, expected = (
            part.decode("utf-8", "replace")[:MOST_PAIR] for part in pair(rules, problem.sources, name)
        )
        examples[name] = {"input": given, "output": expected}
    answer: dict[str, Any] = {
        "problem": problem.name,
        "about": rules.about,
        "editable": list(rules.editable),
        "change": HOW,
        "commands": {
            name: command
            for name, command in (("build", rules.build), ("test", rules.test), ("run", rules.run))
            if command
        },
        "compared": rules.compare,
        "files": files,
        "examples": examples,
        "also_judged": "on inputs that are not shown, against what the original prints; timed against the original",
        "machine": {
            name: answers.line(value) if isinstance(value, str) else value
            for name in MACHINE
            if (value := evaluator.environment.get(name))
        },
    }
    if left_out:
        answer["files_left_out"] = left_out
    return answer


def _shown(problem: Problem) -> tuple[dict[str, str], list[str]]:
    from kopt.problems.scope import Scope

    scope = Scope(paths=rules_of(problem).editable)
    files = visible(problem.sources)
    room, shown, left_out = MOST_SHOWN, {}, []
    for name in sorted(files, key=lambda name: (not scope.allows(name), name)):
        if len(files[name]) <= room:
            shown[name], room = files[name], room - len(files[name])
        else:
            left_out.append(name)
    return shown, left_out


def evaluate(
    evaluator: CodeEvaluator, candidate: Candidate, options: Mapping[str, Any], effort: str
) -> dict[str, Any]:
    """The judge's word on one change; with full effort and a win, its patch."""
    from kopt.verifiers.sampling import Effort

    seconds = options.get("seconds")
    deadline = time.monotonic() + seconds if seconds is not None else None
    made = evaluator.evaluate(candidate, effort=Effort(effort), deadline=deadline)
    answer: dict[str, Any] = {"won": is_win(made), "evaluation": answers.evaluation(made, ())}
    if answer["won"] and effort == "full":
        answer["patch"] = patch_text(evaluator.problem, candidate, made)
    return answer
