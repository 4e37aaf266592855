"""A model as a proposer: it writes, repairs and improves kernels from what the judge has found.

Stateless but for the count of samples: given the same context it asks the same questions, which kept replies
answer, so that a resumed run walks through its past without paying.
"""

from __future__ import annotations

from collections.abc import Iterator

from kopt.agents.chat.errors import BadReply, PromptRejected, Refused, Truncated, Unavailable
from kopt.agents.chat.words import ChatModel, Message, Reply, Request
from kopt.agents.context import Context, Cost
from kopt.agents.edits import EditError
from kopt.agents.normal import identity
from kopt.agents.roles import Task, choose_role, read_proposal, request_for
from kopt.words import Candidate

SAMPLES = 3
"""Answers to one question before the model is thought to have no other."""
_MOST_ECHOED = 20_000


class LlmProposer:
    """Candidates from one model."""

    def __init__(self, model: ChatModel) -> None:
        self.name = model.name
        self._model = model
        self._remarks: list[str] = []
        self.paid = Cost()
        """What the latest :meth:`propose` has cost so far, or did when its replies were made."""

    def explain(self) -> list[str]:
        """What went wrong with replies, a line each, newest last."""
        return list(self._remarks)

    def propose(self, context: Context) -> Iterator[Candidate]:
        """Candidates that are not the same program as one tried before.

        Raises:
            SetupError: the model cannot be used at all.
            KoptError: the budget is spent.
        """
        seen = {identity(candidate) for candidate, _ in context.history}
        task = choose_role(context)
        request = request_for(task, context)
        self.paid = Cost()
        for sample in range(context.sample, context.sample + SAMPLES):
            try:
                candidate = self._ask(task, request, sample)
            except (Unavailable, PromptRejected) as error:  # asking once more would not help now
                self._remarks.append(str(error))
                return
            if candidate is None:
                continue
            same = identity(candidate)
            if same in seen:
                self._remarks.append(f"{self.name} proposed a program that was tried before")
                continue
            seen.add(same)
            yield candidate

    def _ask(self, task: Task, request: Request, sample: int) -> Candidate | None:
        """One candidate; a reply that holds none is answered once with what is wrong with it."""
        try:
            reply = self._complete(request, sample)
            try:
                return read_proposal(reply.text, task, self.name)
            except EditError as error:
                again = Request(
                    messages=(
                        *request.messages,
                        Message(role="assistant", text=reply.text[:_MOST_ECHOED] or "(nothing)"),
                        Message(role="user", text=str(error)),
                    ),
                    max_tokens=request.max_tokens,
                )
                reply = self._complete(again, sample)
                return read_proposal(reply.text, task, self.name)
        except (EditError, Refused, Truncated, BadReply) as error:
            self._remarks.append(f"{self.name}: {error}")
            return None

    def _complete(self, request: Request, sample: int) -> Reply:
        reply = self._model.complete(request, sample=sample)
        self.paid += Cost(reply.worth, reply.took)
        return reply
