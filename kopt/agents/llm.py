"""A model as a proposer: it writes, repairs and improves kernels from what the judge has found.

Stateless: given the same context it asks the same questions, which kept replies answer, so that a resumed run walks
through its past without paying. It may be asked several times at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kopt.agents.chat.errors import BadReply, PromptRejected, Refused, Truncated, Unavailable
from kopt.agents.chat.words import ChatModel, Message, Reply, Request
from kopt.agents.context import Context
from kopt.agents.edits import EditError
from kopt.agents.lookups import Tool, converse
from kopt.agents.normal import identity
from kopt.agents.planner import Planner
from kopt.agents.reviewer import Reviewer
from kopt.agents.roles import Role, Task, choose_role, read_proposal, request_for
from kopt.agents.roles.retrieved import retrieved
from kopt.agents.roles.reviewing import objection
from kopt.words import Candidate

SAMPLES = 3
"""Answers to one question before the model is thought to have no other."""
_MOST_ECHOED = 20_000


@dataclass(frozen=True)
class _Proposal:
    """A candidate, and the conversation that it ends."""

    candidate: Candidate
    request: Request
    reply: str


class LlmProposer:
    """Candidates from one model, whose first versions may be planned and whose proposals may be reviewed."""

    def __init__(
        self,
        model: ChatModel,
        *,
        planner: Planner | None = None,
        reviewer: Reviewer | None = None,
        tools: Sequence[Tool] = (),
        rounds: int = 0,
    ) -> None:
        """Put a proposer together.

        Args:
            model: who writes, repairs and improves.
            planner: plans what is written afresh.
            reviewer: may hold a proposal back, once a turn.
            tools: what the model may call before it answers.
            rounds: how often, at most, for one answer.
        """
        self.name = model.name
        self._model = model
        self._planner = planner
        self._reviewer = reviewer
        self._tools = tools
        self._rounds = rounds
        self._remarks: list[str] = []

    def explain(self) -> list[str]:
        """What went wrong with replies, and what was held back, a line each, newest last."""
        helpers = [helper for helper in (self._planner, self._reviewer) if helper is not None]
        return [*self._remarks, *(line for helper in helpers for line in helper.explain())]

    def propose(self, context: Context) -> Iterator[Candidate]:
        """Candidates that are not the same program as one tried before.

        Raises:
            SetupError: the model cannot be used at all.
            KoptError: the budget is spent.
        """
        seen = {identity(candidate) for candidate, _ in context.history}
        task = choose_role(context)
        request = self._request(task, context)
        reviewer = self._reviewer
        first = context.sample * SAMPLES
        for sample in range(first, first + SAMPLES):
            try:
                proposal = self._ask(task, request, sample)
                if proposal is not None and reviewer is not None and self._novel(proposal, seen):
                    reason = reviewer.veto(proposal.candidate, context)
                    if reason is not None:  # once: what is written in answer to it is for the judge
                        reviewer = None
                        seen.add(identity(proposal.candidate))
                        proposal = self._revise(task, proposal, reason, sample)
            except (Unavailable, PromptRejected) as error:  # asking once more would not help now
                self._remarks.append(str(error))
                return
            if proposal is None:
                continue
            if not self._novel(proposal, seen):
                self._remarks.append(f"{self.name} proposed a program that was tried before")
                continue
            seen.add(identity(proposal.candidate))
            yield proposal.candidate

    def _request(self, task: Task, context: Context) -> Request:
        return request_for(task, context, retrieved(context), self._plan(task, context))

    def _candidate(self, reply: str, task: Task) -> Candidate:
        return read_proposal(reply, task, self.name)

    def _plan(self, task: Task, context: Context) -> Message | None:
        """A plan for what is written afresh: the next one where that was asked for before."""
        if self._planner is None or task.role is not Role.WRITER:
            return None
        return self._planner.plan(context, context.sample)

    def _ask(self, task: Task, request: Request, sample: int) -> _Proposal | None:
        """One candidate; a reply that holds none is answered once with what is wrong with it."""
        try:
            reply, request = self._complete(request, sample)
            try:
                return _Proposal(self._candidate(reply.text, task), request, reply.text)
            except EditError as error:
                again = _answered(request, reply.text, Message(role="user", text=str(error)))
                return self._read(task, again, sample)
        except (EditError, Refused, Truncated, BadReply) as error:
            self._remarks.append(f"{self.name}: {error}")
            return None

    def _revise(self, task: Task, proposal: _Proposal, reason: str, sample: int) -> _Proposal | None:
        """What its proposer makes of a candidate that was held back."""
        try:
            return self._read(task, _answered(proposal.request, proposal.reply, objection(reason)), sample)
        except (EditError, Refused, Truncated, BadReply) as error:
            self._remarks.append(f"{self.name}: {error}")
            return None

    def _read(self, task: Task, request: Request, sample: int) -> _Proposal:
        reply, request = self._complete(request, sample)
        return _Proposal(self._candidate(reply.text, task), request, reply.text)

    @staticmethod
    def _novel(proposal: _Proposal, seen: set[str]) -> bool:
        return identity(proposal.candidate) not in seen

    def _complete(self, request: Request, sample: int) -> tuple[Reply, Request]:
        return converse(self._model, request, self._tools, rounds=self._rounds, sample=sample)


def _answered(request: Request, reply: str, message: Message) -> Request:
    """The conversation, continued by what the model said and what we say to that."""
    said = Message(role="assistant", text=reply[:_MOST_ECHOED] or "(nothing)")
    return dataclasses.replace(request, messages=(*request.messages, said, message))
