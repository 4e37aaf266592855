"""What a reviewer is asked, and what becomes of its objection."""

from __future__ import annotations

from pydantic import BaseModel

from kopt.agents.chat.words import Message, Request
from kopt.agents.context import Context
from kopt.agents.roles.prompts import asked, guarded, opening, source_of
from kopt.words import Candidate

_MOST_REASON = 400
_MOST_TOKENS = 4096
"""Room for models that think before they answer; the answer is a line."""


class Review(BaseModel):
    """A reviewer's answer. There is no way in it to approve or to change anything."""

    veto: bool
    reason: str


def review_request(candidate: Candidate, context: Context) -> Request:
    """Ask whether a proposal should be held back. A reviewer is told of nothing else that was tried."""
    message = asked("reviewer", source=source_of(candidate))
    return Request(messages=(*opening(context), message), schema=Review, max_tokens=_MOST_TOKENS)


def reason_of(review: Review) -> str | None:
    """Why the proposal is held back, in one line, or None: an objection without a reason is none."""
    reason = " ".join(review.reason.split())[:_MOST_REASON]
    return reason if review.veto and reason else None


def objection(reason: str) -> Message:
    """The veto as its proposer is told it: material, for another model wrote it."""
    return asked("objection", reason=guarded(reason))
