"""The strategies by name, and how each is put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kopt.rl.ledger import Ledger
from kopt.rl.offline import Offline, Search
from kopt.rl.strategy import Strategy
from kopt.words import Candidate, Evaluation, Problem

if TYPE_CHECKING:
    from kopt.verifiers.evaluator import Evaluator

Maker = Callable[[Problem, "Evaluator", Ledger], Strategy]


class _Generator:
    """The offline proposer with the trace it needs, taken when the first candidate is asked for."""

    def __init__(self, problem: Problem, evaluator: Evaluator) -> None:
        from kopt.agents.offline.proposer import OfflineProposer

        self._problem = problem
        self._evaluator = evaluator
        self._proposer = OfflineProposer()
        self._failure: str | None = None

    def propose(self) -> Iterable[Candidate]:
        from kopt.agents.context import Context
        from kopt.agents.offline.proposer import TRACE
        from kopt.sandbox.errors import RunnerError

        wanted: list[dict[str, Any]] = [{"workload": s.workload.index} for s in self._evaluator.specs]
        if self._problem.format == "kopt":  # its axes vary: tiny sizes tell them from constants
            wanted.append({"smoke": True})
        try:
            graph = [self._evaluator.invoke(TRACE, arguments) for arguments in wanted]
        except RunnerError as error:
            self._failure = f"the reference cannot be traced: {error}"
            return
        context = Context(problem=self._problem, specs=self._evaluator.specs, graph=graph)
        yield from self._proposer.propose(context)

    def explain(self) -> list[str]:
        return [self._failure] if self._failure else list(self._proposer.explain())


def _offline(problem: Problem, evaluator: Evaluator, ledger: Ledger) -> Strategy:
    def search(candidate: Candidate, evaluation: Evaluation) -> Search:
        from kopt.agents.tuner import Tuner

        return Tuner(candidate)

    return Offline(_Generator(problem, evaluator), search, ledger)


STRATEGIES: dict[str, Maker] = {"offline": _offline}


def make_strategy(name: str, problem: Problem, evaluator: Evaluator, ledger: Ledger) -> Strategy:
    """A new strategy; one given the same evaluations asks for the same trials."""
    return STRATEGIES[name](problem, evaluator, ledger)
