"""What the service answers about a code problem: its files and commands, verdicts on changes, the winner's patch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kopt.problems.code import pair, rules_of
from kopt.problems.folder import visible
from kopt.rl.service import answers
from kopt.rl.strategy import is_win
from kopt.rl.winning_patch import patch_text
from kopt.words import Candidate, Evaluation, Problem

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
        "machine": answers.machine(evaluator.environment),
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


def submitted(problem: Problem, candidate: Candidate, made: Evaluation) -> dict[str, Any]:
    """What came of a change that was judged in full; of one that certainly wins, its patch."""
    answer: dict[str, Any] = {"won": is_win(made), "evaluation": answers.evaluation(made, ())}
    if answer["won"]:
        answer["patch"] = patch_text(problem, candidate, made)
    return answer
