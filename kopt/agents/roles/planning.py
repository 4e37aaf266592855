"""What a planner is asked, and its plan as a writer reads it."""

from __future__ import annotations

import dataclasses

from pydantic import BaseModel

from kopt.agents.chat.words import Message, Request
from kopt.agents.context import Context
from kopt.agents.roles.prompts import asked, guarded, opening
from kopt.agents.roles.retrieved import retrieved

_MOST_PASSES = 6
_MOST_LINE = 300
_MOST_TOKENS = 4096
"""Room for models that think before they answer; the answer is a few lines."""


class Plan(BaseModel):
    """From what is computed to dataflow to tiles, in words."""

    passes: list[str]
    threads: str
    vectors: str
    tiles: str
    precision: str


def plan_request(context: Context) -> Request:
    """Ask for a plan. It depends on the problem, the machine and the library alone, not on what was tried."""
    messages = (*opening(context), retrieved(context), asked("planner"))
    return Request(messages=messages, schema=Plan, max_tokens=_MOST_TOKENS)


def plan_message(plan: Plan) -> Message | None:
    """The plan as all writers get it, after rules and problem and as stable as these; None where it says nothing."""
    lines = [f"pass {place}: {_short(line)}" for place, line in enumerate(plan.passes[:_MOST_PASSES], 1)]
    rest = {
        "threads": plan.threads,
        "vectors": plan.vectors,
        "tiles": plan.tiles,
        "precision": plan.precision,
    }
    lines += [f"{name}: {_short(text)}" for name, text in rest.items() if text.strip()]
    if not lines:
        return None
    return dataclasses.replace(asked("plan", plan=guarded("\n".join(lines))), stable=True)


def _short(text: str) -> str:
    return " ".join(text.split())[:_MOST_LINE]
