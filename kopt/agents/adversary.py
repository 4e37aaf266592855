"""An adversary of candidates: it proposes inputs on which two of them would differ, for the judge to try.

As in differential testing (McKeeman, "Differential testing for software", 1998) two programs that should agree point at
what to test; a model reads both and says where they might not. What it proposes is data of a narrow form
(:mod:`kopt.agents.redraw`): it can make the judge look harder at candidates, and nothing else.
"""

from __future__ import annotations

import dataclasses

from pydantic import BaseModel

from kopt.agents.chat.words import ChatModel, Request
from kopt.agents.context import Context
from kopt.agents.redraw import Redrawn, redraw
from kopt.agents.roles.prompts import asked, opening, source_of
from kopt.words import Candidate, Problem

_MOST_TOKENS = 4096
_MOST_INPUTS = 16


class NewInput(BaseModel):
    """One input's new distribution."""

    name: str
    kind: str
    first: float
    second: float


class Opposition(BaseModel):
    """An adversary's answer."""

    inputs: list[NewInput]
    why: str


@dataclasses.dataclass(frozen=True)
class Challenge:
    """The problem with other inputs, and why, in one line."""

    problem: Problem
    why: str


def adversary_request(context: Context, one: Candidate, other: Candidate) -> Request:
    """Ask for inputs on which two candidates would differ."""
    message = asked("adversary", one=source_of(one), other=source_of(other))
    return Request(messages=(*opening(context), message), schema=Opposition, max_tokens=_MOST_TOKENS)


def oppose(model: ChatModel, context: Context, one: Candidate, other: Candidate) -> Challenge | None:
    """Other inputs for the problem; None where the model names none that may be tried.

    Raises:
        ChatError: no usable answer came.
        KoptError: the budget is spent.
    """
    reply = model.complete(adversary_request(context, one, other))
    if not isinstance(reply.parsed, Opposition):
        return None
    changes = [Redrawn(i.name, i.kind, i.first, i.second) for i in reply.parsed.inputs[:_MOST_INPUTS]]
    problem = redraw(context.problem, changes)
    return None if problem is None else Challenge(problem, " ".join(reply.parsed.why.split())[:300])
