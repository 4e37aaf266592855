"""From a code problem and what is known of it to a request."""

from __future__ import annotations

import functools
import string
from collections.abc import Mapping
from importlib import resources

from kopt.agents.chat.words import Message, Request
from kopt.agents.context import Context
from kopt.agents.feedback import describe
from kopt.agents.roles import Task
from kopt.agents.roles.prompts import guarded
from kopt.problems.code import Rules, pair, rules_of
from kopt.problems.folder import visible
from kopt.problems.scope import Scope
from kopt.words import Problem

_RECALLED = 6
_MOST_PAIR = 2000
_MOST_FILE = 40_000


def request_for(task: Task, context: Context) -> Request:
    """Rules and problem, which all requests of a run share byte for byte, then a role's own words."""
    words = {"source": guarded(_shown(version_of(task, context.problem))), "earlier": _earlier(task, context)}
    if task.parent is not None:
        words["feedback"] = guarded(describe(task.parent[1], ()))
    text = string.Template(_template(task.role)).substitute(words)
    return Request(
        messages=(
            Message(role="system", text=_template("rules"), stable=True),
            Message(role="user", text=_problem(context), stable=True),
            Message(role="user", text=text.strip() + "\n"),
        )
    )


def version_of(task: Task, problem: Problem) -> dict[str, str]:
    """The editable files a task begins from: the original's, changed as the parent has changed them."""
    scope = Scope(paths=rules_of(problem).editable)
    files = {name: text for name, text in visible(problem.sources).items() if scope.allows(name)}
    return files | dict(task.parent[0].sources if task.parent else {})


@functools.cache
def _template(name: str) -> str:
    return resources.files("kopt.agents.code").joinpath(f"{name}.md").read_text(encoding="utf-8")


def _problem(context: Context) -> str:
    problem, rules = context.problem, rules_of(context.problem)
    commands = [("build", rules.build), ("test", rules.test), ("run", rules.run)]
    lines = [f"Problem {problem.name}. {rules.about}".strip()]
    lines += [f"{name}: {command}" for name, command in commands if command]
    lines += [f"It reads its input from standard input; outputs are compared by: {_compared(rules)}."]
    lines += [f"These files may be changed: {', '.join(rules.editable)}", "The original files:"]
    lines += ["<data>", guarded(_shown(visible(problem.sources))), "</data>"]
    for name in rules.shown:
        data, expected = (
            part.decode("utf-8", "replace")[:_MOST_PAIR] for part in pair(rules, problem.sources, name)
        )
        lines += [f"Example {name}:", "<data>", guarded(f"input:\n{data}\noutput:\n{expected}"), "</data>"]
    facts = [f"{name}: {value}" for name, value in context.machine.items()]
    if facts:
        lines += ["The machine: " + "; ".join(facts)]
    return "\n".join(lines) + "\n"


def _compared(rules: Rules) -> str:
    if rules.compare in ("numbers", "float64"):
        return f"{rules.compare} (relative tolerance {rules.rtol:g}, absolute {rules.atol:g})"
    return rules.compare


def _shown(files: Mapping[str, str]) -> str:
    return "\n\n".join(
        f"--- {name} ---\n{text[:_MOST_FILE].rstrip()}" for name, text in sorted(files.items())
    )


def _earlier(task: Task, context: Context) -> str:
    """What else was tried, a line each, so that it is not tried again."""
    parent = task.parent[0].digest if task.parent else None
    others = [pair for pair in context.history if pair[0].digest != parent][-_RECALLED:]
    if not others:
        return ""
    lines = [
        f"- {candidate.notes.get('title', '')}: {'; '.join(describe(evaluation, ()).splitlines()[:3])}"[:300]
        for candidate, evaluation in others
    ]
    return "\n".join(["", "Tried before:", "<data>", guarded("\n".join(lines)), "</data>", ""])
