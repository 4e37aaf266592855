"""The strategies by name, and how each is put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kopt.errors import UsageError
from kopt.rl.ledger import Ledger
from kopt.rl.offline import Offline, Search
from kopt.rl.strategy import Strategy
from kopt.words import Candidate, Evaluation, Problem

if TYPE_CHECKING:
    from kopt.agents.chat.words import ChatModel
    from kopt.verifiers.evaluator import Evaluator

Maker = Callable[[Problem, "Evaluator", Ledger, Sequence["ChatModel"]], Strategy]
MACHINE = ("cpu", "cores", "threads", "isa", "caches", "compiler")
"""What a model is told of the machine."""


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


def _offline(
    problem: Problem, evaluator: Evaluator, ledger: Ledger, _models: Sequence[ChatModel]
) -> Strategy:
    def search(candidate: Candidate, evaluation: Evaluation) -> Search:
        from kopt.agents.tuner import Tuner

        return Tuner(candidate)

    return Offline(_Generator(problem, evaluator), search, ledger)


def _refine(problem: Problem, evaluator: Evaluator, ledger: Ledger, models: Sequence[ChatModel]) -> Strategy:
    from kopt.agents.context import Context
    from kopt.agents.llm import LlmProposer
    from kopt.rl.refine import History, Refine

    machine = {name: evaluator.environment[name] for name in MACHINE if evaluator.environment.get(name)}

    def describe(history: History, best: tuple[Candidate, Evaluation] | None) -> Context:
        return Context(
            problem=problem, specs=evaluator.specs, machine=machine, history=tuple(history), incumbent=best
        )

    return Refine([LlmProposer(model) for model in models], describe, ledger)


STRATEGIES: dict[str, Maker] = {"offline": _offline, "refine": _refine}
WITH_MODELS = frozenset({"refine"})


def choose_strategy(name: str | None, models: Sequence[str]) -> str:
    """The strategy's name: the one given, or the one that fits.

    Raises:
        UsageError: there is none of that name, or it does not go with the models given.
    """
    chosen = name or ("refine" if models else "offline")
    if chosen not in STRATEGIES:
        raise UsageError(f"no strategy {chosen!r}; choose one of {', '.join(STRATEGIES)}")
    if chosen in WITH_MODELS and not models:
        raise UsageError(f"the strategy {chosen} needs a model; add --model PROVIDER/NAME")
    if models and chosen not in WITH_MODELS:
        raise UsageError(f"the strategy {chosen} uses no model; leave --model out, or choose refine")
    return chosen


def make_strategy(
    name: str, problem: Problem, evaluator: Evaluator, ledger: Ledger, models: Sequence[ChatModel] = ()
) -> Strategy:
    """A new strategy; one given the same evaluations asks for the same trials."""
    return STRATEGIES[name](problem, evaluator, ledger, models)
