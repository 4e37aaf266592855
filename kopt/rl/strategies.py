"""The strategies by name, and how each is put together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from kopt.errors import UsageError
from kopt.rl.asking import Asking
from kopt.rl.briefing import Setting, asking, challenging
from kopt.rl.ledger import Ledger
from kopt.rl.offline import Offline
from kopt.rl.searching import Search
from kopt.rl.strategy import Strategy
from kopt.rl.strategy_options import read_options
from kopt.words import Candidate, Problem, from_json

if TYPE_CHECKING:
    from kopt.agents.chat.words import ChatModel
    from kopt.rl.driven.agent import Order
    from kopt.verifiers.code import CodeEvaluator
    from kopt.verifiers.evaluator import Evaluator

AGENT, TUNE = "agent", "tune"
Options = Mapping[str, float]
Maker = Callable[[Setting, Options], Strategy]


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


def _offline(setting: Setting, _options: Options) -> Strategy:
    problem = setting.problem
    if problem.format == "code":
        raise UsageError(f"{problem.name} is a code problem, which needs a model: add --model PROVIDER/NAME")

    return Offline(_Generator(problem, cast("Evaluator", setting.evaluator)), _tuning, setting.ledger)


class _Given:
    """Candidates that somebody has written, in the order given."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates

    def propose(self) -> Iterable[Candidate]:
        return self._candidates

    def explain(self) -> list[str]:
        return []


def _tuning(candidate: Candidate) -> Search:
    from kopt.agents.tuner import Tuner

    return Tuner(candidate)


def _tune(setting: Setting, _options: Options) -> Strategy:
    return Offline(_Given(setting.given), _tuning, setting.ledger)


def _refine(setting: Setting, options: Options) -> Strategy:
    from kopt.rl.refine import Refine

    return Refine(asking(setting, options), setting.ledger)


def _best_of_n(setting: Setting, options: Options) -> Strategy:
    from kopt.rl.best_of_n import BestOfN

    samples = options["samples"] or math.inf
    return BestOfN(asking(setting, options), setting.ledger, samples=samples)


def _beam(setting: Setting, options: Options) -> Strategy:
    from kopt.rl.beam import Beam

    width, branch = int(options["width"]), int(options["branch"])
    return Beam(asking(setting, options), setting.ledger, width=width, branch=branch)


def _evolve(setting: Setting, options: Options) -> Strategy:
    from kopt.rl.evolve import Breeding, Evolve

    own = {field.name: options[field.name] for field in dataclasses.fields(Breeding)}
    return Evolve(asking(setting, options), setting.ledger, from_json(Breeding, own))


def _agent(setting: Setting, _options: Options) -> Strategy:
    from kopt.rl.driven.agent import Driven

    if setting.order is None:
        raise UsageError("the strategy agent needs an agent; add --agent 'COMMAND'")
    return Driven(setting.problem, setting.evaluator, setting.ledger, setting.order)


STRATEGIES: dict[str, Maker] = {
    "offline": _offline,
    TUNE: _tune,
    "refine": _refine,
    "best-of-n": _best_of_n,
    "beam": _beam,
    "evolve": _evolve,
    AGENT: _agent,
}
WITH_MODELS = frozenset(STRATEGIES) - {"offline", TUNE, AGENT}


def choose_strategy(
    name: str | None,
    models: Sequence[str],
    agent: str | None = None,
    candidates: Sequence[Candidate] = (),
) -> str:
    """The strategy's name: the one given, or the one that fits.

    Raises:
        UsageError: there is none of that name, or it does not go with the models given.
    """
    if candidates or name == TUNE:
        return _tunes(name, models, agent, candidates)
    if agent is not None:
        if not agent.strip():
            raise UsageError("--agent is empty; give a command line, as --agent 'CLI \"Follow TASK.md\"'")
        if models or name not in (None, AGENT):
            raise UsageError("an agent decides by itself what to try; leave --model and --strategy out")
        return AGENT
    chosen = name or ("refine" if models else "offline")
    if chosen not in STRATEGIES:
        raise UsageError(f"no strategy {chosen!r}; choose one of {', '.join(STRATEGIES)}")
    if chosen in WITH_MODELS and not models:
        raise UsageError(f"the strategy {chosen} needs a model; add --model PROVIDER/NAME")
    if models and chosen not in WITH_MODELS:
        raise UsageError(
            f"the strategy {chosen} uses no model; leave --model out, or choose refine, beam or evolve"
        )
    return chosen


def _tunes(
    name: str | None, models: Sequence[str], agent: str | None, candidates: Sequence[Candidate]
) -> str:
    if models or agent is not None or name not in (None, TUNE):
        raise UsageError("--candidate is tuned without a model; leave --model, --agent and --strategy out")
    if not candidates:
        raise UsageError("the strategy tune needs a candidate; add --candidate FILE")
    for candidate in candidates:
        if not candidate.tunables:
            file = candidate.entry.partition("::")[0]
            raise UsageError(
                f"{file} declares no tunables: write constants as `#define BLOCK 64  // tune: 16, 32, 64, 128` "
                "(docs/candidates.md)"
            )
    return TUNE


def make_strategy(
    name: str,
    problem: Problem,
    evaluator: Evaluator | CodeEvaluator,
    ledger: Ledger,
    models: Sequence[ChatModel] = (),
    options: Mapping[str, object] | None = None,
    run: str = "",
    order: Order | None = None,
    given: Sequence[Candidate] = (),
) -> Strategy:
    """A new strategy; one given the same evaluations and options asks for the same trials.

    ``run`` is the run's id, under which is kept what is looked up for it once; ``order`` what the strategy ``agent``
    drives; ``given`` what the strategy ``tune`` tunes.

    Raises:
        UsageError: an option is none of the strategy's, or does not fit.
    """
    setting = Setting(
        problem=problem,
        evaluator=evaluator,
        ledger=ledger,
        models=models,
        run=run,
        order=order,
        given=tuple(given),
    )
    read = read_options(name, options or {})
    strategy = STRATEGIES[name](setting, read)
    if isinstance(strategy, Asking):
        strategy.challenger = challenging(setting, read)
        strategy.tuner = _tuning
    return strategy
