"""From what is known to a request, and from a reply to a candidate."""

from __future__ import annotations

import enum
import functools
import string
from dataclasses import dataclass
from importlib import resources

from kopt.agents.chat.words import Message, Request
from kopt.agents.context import Context
from kopt.agents.edits import EditError, whole_file
from kopt.agents.feedback import describe
from kopt.problems.shown import shown_text
from kopt.words import Candidate, Evaluation, ScalarSpec, WorkloadSpec
from kopt.words.source_file import candidate_of

REPAIRS = 3
"""Repairs of one candidate in a row, after which another beginning is better than another repair."""
_RECALLED = 6
_FILES = {
    "cpp": "kernel.cpp",
    "c++": "kernel.cpp",
    "cc": "kernel.cpp",
    "cuda": "kernel.cu",
    "cu": "kernel.cu",
}
_PYTHON = {"python": "kernel.py", "py": "kernel.py", "triton": "kernel.py"}


class Role(enum.StrEnum):
    """What a model is asked to be."""

    WRITER = "writer"
    REPAIRER = "repairer"
    OPTIMISER = "optimiser"


@dataclass(frozen=True, kw_only=True)
class Task:
    """A role, and the candidate it is given: None for the writer."""

    role: Role
    parent: tuple[Candidate, Evaluation] | None = None


def choose_role(context: Context) -> Task:
    """What to do next: what is wanted; else repair what has just failed, improve the best, or begin anew.

    Raises:
        ValueError: a role is wanted that does not exist.
    """
    if context.wanted is not None:
        return Task(role=Role(context.wanted.role), parent=context.wanted.parent)
    if context.history and not context.history[-1][1].correct:
        failures = 0
        for _, evaluation in reversed(context.history):
            if evaluation.correct:
                break
            failures += 1
        if failures % (REPAIRS + 1):
            return Task(role=Role.REPAIRER, parent=context.history[-1])
    if context.incumbent is not None:
        return Task(role=Role.OPTIMISER, parent=context.incumbent)
    return Task(role=Role.WRITER)


def request_for(task: Task, context: Context, *helpful: Message | None) -> Request:
    """The request a role makes: rules and problem, which all share, what helps, then its own words."""
    known = {spec.workload.name for spec in context.specs}
    words = {"earlier": _earlier(task, context, known)}
    if task.parent is not None:
        candidate, evaluation = task.parent
        words["source"] = source_of(candidate)
        words["feedback"] = guarded(describe(evaluation, known))
    helps = [message for message in helpful if message is not None]
    return Request(messages=(*opening(context), *helps, asked(task.role, **words)))


def opening(context: Context) -> tuple[Message, ...]:
    """Rules and problem: the prefix that all requests of a run share, byte for byte."""
    return (
        Message(role="system", text=_template("rules"), stable=True),
        Message(role="user", text=_problem(context), stable=True),
    )


def asked(template: str, **words: str) -> Message:
    """A role's own words; whoever fills in what others wrote guards it first."""
    return Message(role="user", text=string.Template(_template(template)).substitute(words).strip() + "\n")


def source_of(candidate: Candidate) -> str:
    """A candidate's text, to stand in a block of data."""
    return guarded("\n".join(candidate.sources.values()).strip())


def read_proposal(reply: str, task: Task, proposer: str) -> Candidate:
    """The candidate in a reply.

    Raises:
        EditError: it holds none; the message is for the model.
    """
    language, text = whole_file(reply)
    name = {**_FILES, **_PYTHON}.get(language.lower())
    if name is None:
        raise EditError(f"a code block in {language or 'no language'}: mark it ```cpp or ```python")
    found = candidate_of(name, text)
    title = " ".join(reply.partition("```")[0].split())[:120]
    return Candidate(
        sources=found.sources,
        language=found.language,
        entry=found.entry,
        style=found.style,
        proposer=proposer[:100],
        parents=(task.parent[0].digest,) if task.parent else (),
        tunables=found.tunables,
        notes={"role": task.role.value, "title": title or task.role.value},
    )


@functools.cache
def _template(name: str) -> str:
    return resources.files("kopt.agents.roles").joinpath(f"{name}.md").read_text(encoding="utf-8")


def guarded(text: str) -> str:
    """Text that cannot end the block it stands in."""
    return text.replace("</data>", "< /data>")


def _problem(context: Context) -> str:
    problem = context.problem
    facts = [f"{name}: {value}" for name, value in context.machine.items()]
    sources = "\n\n".join({**problem.sources, problem.entry: shown_text(problem)}.values())
    lines = [f"Problem {problem.name}. The reference:", "<data>", guarded(sources.strip()), "</data>"]
    for spec in context.specs:
        lines += ["", *_workload(spec)]
    if facts:
        lines += ["", "The machine: " + "; ".join(facts)]
    return "\n".join(lines) + "\n"


def _workload(spec: WorkloadSpec) -> list[str]:
    lines = [f"Workload {spec.workload.name}, arguments in the order of the call:"]
    groups = (("input", spec.arguments), ("state", spec.state), ("output", spec.outputs))
    for kind, values in groups:
        for value in values:
            if isinstance(value, ScalarSpec):
                lines.append(f"  scalar {value.name} = {value.value!r}, not passed to C++")
            else:
                lines.append(
                    f"  {kind} {value.name}: {value.dtype}{list(value.shape)}, strides {list(value.strides)}"
                )
    if spec.bytes_required or spec.flops:
        lines.append(f"  it must move {spec.bytes_required} bytes and takes {spec.flops:.4g} operations")
    return lines


def _earlier(task: Task, context: Context, known: set[str]) -> str:
    """What else was tried, a line each, so that it is not tried again."""
    parent = task.parent[0].digest if task.parent else None
    others = [pair for pair in context.history if pair[0].digest != parent][-_RECALLED:]
    if not others:
        return ""
    lines = [
        f"- {candidate.notes.get('title', '')}: {'; '.join(describe(evaluation, known).splitlines()[:3])}"[
            :300
        ]
        for candidate, evaluation in others
    ]
    return "\n".join(["", "Tried before:", "<data>", guarded("\n".join(lines)), "</data>", ""])
