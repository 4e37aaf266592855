"""Candidates for a code problem from one model: what it is asked, and how its edits become changed files."""

from __future__ import annotations

from kopt.agents.chat.words import ChatModel, Request
from kopt.agents.code.prompts import request_for, version_of
from kopt.agents.context import Context
from kopt.agents.edits import apply_edits, parse_edits
from kopt.agents.llm import LlmProposer
from kopt.agents.roles import Task
from kopt.problems.code import rules_of
from kopt.problems.scope import Scope
from kopt.words import Candidate, Language, Problem, Style


class CodeProposer(LlmProposer):
    """The proposer for kernels with another language: requests of this folder, answers that are edits."""

    def __init__(self, model: ChatModel, problem: Problem) -> None:
        super().__init__(model)
        self._problem = problem
        self._scope = Scope(paths=rules_of(problem).editable)

    def _request(self, task: Task, context: Context) -> Request:
        return request_for(task, context)

    def _candidate(self, reply: str, task: Task) -> Candidate:
        """The candidate in a reply.

        Raises:
            EditError: it holds no edits, or one does not apply; the message is for the model.
        """
        edits = parse_edits(reply)
        version = version_of(task, self._problem)
        after = apply_edits(version, edits, self._scope)
        said = reply.partition("<<<<<<<")[0].strip().splitlines()[:-1]  # the last line names the file
        title = " ".join(" ".join(said).replace("```", "").split())[:120]
        return Candidate(
            sources={n: text for n, text in after.items() if self._problem.sources.get(n) != text} or after,
            language=Language.CODE,
            entry="",
            style=Style.RETURNING,
            proposer=self.name[:100],
            parents=(task.parent[0].digest,) if task.parent else (),
            notes={"role": task.role.value, "title": title or task.role.value},
        )
