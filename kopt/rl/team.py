"""The proposers of a run: several questions at once, answers in the order they were asked for.

A question is answered in a thread of its own, which waits for a server nearly all of its time, while the caller goes on
evaluating. What is asked hangs on evaluations alone and never on who answered first, so that a resumed run asks the
same. A proposer is left out when it cannot be used, and all are silent when the money is gone.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Protocol

from kopt.agents.bill import billing
from kopt.agents.chat.errors import SetupError
from kopt.agents.context import Context, Cost, Wanted
from kopt.agents.roles import choose_role
from kopt.rl.ledger import BudgetExhausted
from kopt.words import Candidate, Evaluation, Profile

Pair = tuple[Candidate, Evaluation]
History = Sequence[Pair]
Describe = Callable[[History, Pair | None], Context]
"""The context for a history and the best of it."""
Evidence = Callable[[Candidate, Evaluation], Profile | None]
"""The profile of a correct candidate that is to be improved; None where none is made."""
WRITER, REPAIRER, OPTIMISER = "writer", "repairer", "optimiser"


class Explaining(Protocol):
    """What a strategy needs of a proposer; it may be asked from several threads at once."""

    name: str

    def propose(self, context: Context, /) -> Iterable[Candidate]:
        """Candidates worth trying next; what they cost is charged (:mod:`kopt.agents.bill`)."""

    def explain(self) -> list[str]:
        """What went wrong, a line each."""


@dataclasses.dataclass(frozen=True)
class _Answer:
    candidate: Candidate | None
    cost: Cost
    error: BaseException | None = None


class Asked:
    """A question that is being answered."""

    def __init__(self, proposer: Explaining, context: Context) -> None:
        self.proposer = proposer
        self._context = context
        self._answer: Future[_Answer] = Future()
        # Nobody waits for it at the end of the process: a server may hang.
        threading.Thread(target=self._work, name=f"asking {proposer.name}", daemon=True).start()

    def _work(self) -> None:
        with billing() as bill:
            try:
                candidate = next(iter(self.proposer.propose(self._context)), None)
                error: BaseException | None = None
            except BaseException as raised:  # whatever it is, whoever waits for the answer is to have it
                candidate, error = None, raised
        self._answer.set_result(_Answer(candidate, bill.cost, error))

    def wait(self, seconds: float) -> _Answer | None:
        """The answer, or None where there is none in time."""
        try:
            return self._answer.result(None if math.isinf(seconds) else max(0.0, seconds))
        except TimeoutError:
            return None


class Team:
    """Proposers, and what they are told."""

    def __init__(
        self,
        proposers: Sequence[Explaining],
        describe: Describe,
        *,
        evidence: Evidence | None = None,
        in_flight: int = 1,
    ) -> None:
        """Put a team together.

        Args:
            proposers: who is asked.
            describe: gives the context of a question.
            evidence: profiles what is to be improved, before the question is asked: it needs the device.
            in_flight: most questions at once.
        """
        self.members = list(proposers)
        self.in_flight = in_flight
        self._all = tuple(proposers)
        self._describe = describe
        self._evidence = evidence
        self._remarks: list[str] = []
        self._times: Counter[tuple[str, str, str | None]] = Counter()

    def explain(self) -> list[str]:
        """What the models and their servers had to say."""
        return [line for proposer in self._all for line in proposer.explain()] + self._remarks

    def turn(self, number: int) -> Explaining:
        """Whose turn it is, where they take turns."""
        return self.members[number % len(self.members)]

    def begin(
        self, proposer: Explaining, history: History, best: Pair | None, wanted: Wanted | None = None
    ) -> Asked:
        """Ask for one candidate; without ``wanted`` for what a look at the history suggests."""
        context = self._describe(history, best)
        task = choose_role(dataclasses.replace(context, wanted=wanted))
        role, parent = task.role.value, task.parent
        question = (proposer.name, role, parent[0].digest if parent else None)
        sample = self._times[question]
        self._times[question] += 1
        wanted = Wanted(role=role, parent=self._seen_closely(parent) if role == OPTIMISER else parent)
        return Asked(proposer, dataclasses.replace(context, wanted=wanted, sample=sample))

    def _seen_closely(self, parent: Pair | None) -> Pair | None:
        """A candidate with its profile, where one is made and it has none."""
        if self._evidence is None or parent is None or not parent[1].correct or parent[1].profile is not None:
            return parent
        candidate, evaluation = parent
        return candidate, dataclasses.replace(evaluation, profile=self._evidence(candidate, evaluation))

    def end(self, asked: Asked, seconds: float = math.inf) -> tuple[Candidate | None, Cost] | None:
        """The candidate, or None when asking brought nothing, and what that cost; None alone: not in that time."""
        answer = asked.wait(seconds)
        if answer is None:
            return None
        if isinstance(answer.error, SetupError):
            if asked.proposer in self.members:  # else it has been left out since
                self._remarks.append(str(answer.error))
                self.members.remove(asked.proposer)
        elif isinstance(answer.error, BudgetExhausted):
            if self.members:
                self._remarks.append(str(answer.error))
            self.members.clear()
        elif answer.error is not None:
            raise answer.error
        return answer.candidate, answer.cost
