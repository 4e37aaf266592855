"""A second pair of eyes before the device: it may hold a proposal back, and nothing else.

An agent that checks a kernel before it is compiled and profiled saves evaluations where those are dear; one whose
word counted for more than a veto would be a judge that can be talked round. So nothing a reviewer says makes a
candidate pass, and whatever goes wrong with it (a refusal, an answer in another form, no money, a bad key) holds
nothing back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kopt.agents.bill import charge
from kopt.agents.chat.errors import SetupError
from kopt.agents.chat.words import ChatModel
from kopt.agents.context import Context, Cost
from kopt.agents.roles.reviewing import Review, reason_of, review_request
from kopt.errors import KoptError
from kopt.words import Candidate

Observe = Callable[[str, dict[str, Any]], None]
VETOED = "vetoed"
"""The kind of event an observer gets for every veto."""


class Reviewer:
    """Reviews with one model."""

    def __init__(self, model: ChatModel, observe: Observe | None = None) -> None:
        """Put a reviewer together.

        Args:
            model: who is asked; one call a review.
            observe: gets (:data:`VETOED`, facts) for every veto.
        """
        self.name = model.name
        self._model: ChatModel | None = model
        self._observe = observe
        self._remarks: list[str] = []

    def explain(self) -> list[str]:
        """Vetoes and what went wrong, a line each, newest last."""
        return list(self._remarks)

    def veto(self, candidate: Candidate, context: Context) -> str | None:
        """Why a proposal is held back, in one line; None where it is not."""
        if self._model is None:
            return None
        try:
            reply = self._model.complete(review_request(candidate, context))
        except SetupError as error:
            self._model = None
            self._remarks.append(f"nothing is reviewed any more: {error}")
            return None
        except KoptError as error:  # a spent budget too: whoever asks for the next proposal is told of it
            self._remarks.append(f"not reviewed: {error}")
            return None
        charge(Cost(reply.worth, reply.took))
        reason = reason_of(reply.parsed) if isinstance(reply.parsed, Review) else None
        if reason is not None:
            self._remarks.append(f"{self.name} held back a proposal of {candidate.proposer}: {reason}")
            self._tell(candidate, reason, kept=reply.kept)
        return reason

    def _tell(self, candidate: Candidate, reason: str, *, kept: bool) -> None:
        facts = {
            "candidate": candidate.digest,
            "title": str(candidate.notes.get("title", "")),
            "proposer": candidate.proposer,
            "reviewer": self.name,
            "reason": reason,
            "kept": kept,
        }
        if self._observe is not None:
            self._observe(VETOED, facts)
