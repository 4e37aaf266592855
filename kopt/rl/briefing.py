"""The models of a run as proposers, and what they are told: as the options that all their strategies share say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from kopt.rl.ledger import Ledger
from kopt.rl.strategy_options import IN_FLIGHT
from kopt.rl.team import Describe, History, Pair, Team
from kopt.words import Candidate, Problem

if TYPE_CHECKING:
    from kopt.agents.chat.words import ChatModel
    from kopt.agents.context import Similar
    from kopt.rl.challenge import Challenger
    from kopt.rl.driven.agent import Order
    from kopt.verifiers.code import CodeEvaluator
    from kopt.verifiers.evaluator import Evaluator


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a strategy is put to work with.

    ``run`` names what is looked up once; it is "" where there is no run. ``order``: which agent is to be driven.
    ``given``: the candidates whose tunables are to be searched.
    """

    problem: Problem
    evaluator: Evaluator | CodeEvaluator
    ledger: Ledger
    models: Sequence[ChatModel] = ()
    run: str = ""
    order: Order | None = None
    given: tuple[Candidate, ...] = ()


def asking(setting: Setting, options: Mapping[str, float]) -> Team:
    """The models as a team.

    Args:
        setting: with ``review`` the next of its models reviews what one proposes; a single one reviews itself.
        options: :data:`kopt.rl.strategy_options.BRIEFING`, filled in, and how many questions at once.
    """
    from kopt.agents.code import CodeProposer
    from kopt.agents.llm import LlmProposer
    from kopt.agents.planner import Planner
    from kopt.agents.reviewer import Reviewer
    from kopt.rl.evidence import Profiles
    from kopt.rl.looking import lookups
    from kopt.rl.retrieval import similar_kernels

    models, in_flight = setting.models, int(options.get(IN_FLIGHT, 1))
    if setting.problem.format == "code":  # code has neither workloads nor the helpers of kernels
        coders = [CodeProposer(model, setting.problem) for model in models]
        return Team(coders, _describing(setting, ()), in_flight=in_flight)
    evaluator = cast("Evaluator", setting.evaluator)
    most = int(options["similar"])
    similar = similar_kernels(setting.problem, most, evaluator.settings, setting.run) if most else ()

    def reviewer(place: int) -> Reviewer | None:
        return Reviewer(models[(place + 1) % len(models)], evaluator.observe) if options["review"] else None

    def planner(model: ChatModel) -> Planner | None:
        return Planner(model, int(options["plan"])) if options["plan"] else None

    rounds = int(options["lookups"])
    tools = lookups(evaluator.settings, setting.run) if rounds else []
    evidence = Profiles(evaluator, setting.ledger, options["profiles"]) if options["profiles"] else None
    proposers = [
        LlmProposer(model, planner=planner(model), reviewer=reviewer(place), tools=tools, rounds=rounds)
        for place, model in enumerate(models)
    ]
    return Team(proposers, _describing(setting, similar), evidence=evidence, in_flight=in_flight)


def challenging(setting: Setting, options: Mapping[str, float]) -> Challenger | None:
    """The last of the models as an adversary of candidates, where it is asked for and the problem's inputs declare."""
    if not options["adversary"] or setting.problem.format != "kopt":
        return None
    from kopt.rl.challenge import Challenger

    evaluator = cast("Evaluator", setting.evaluator)
    describe = _describing(setting, ())
    return Challenger(setting.models[-1], evaluator, setting.ledger, describe, int(options["adversary"]))


def _describing(setting: Setting, similar: tuple[Similar, ...]) -> Describe:
    from kopt.agents.context import MACHINE, Context

    environment = setting.evaluator.environment
    machine = {name: environment[name] for name in MACHINE if environment.get(name)}

    def describe(history: History, best: Pair | None) -> Context:
        return Context(
            problem=setting.problem,
            specs=setting.evaluator.specs,
            machine=machine,
            history=tuple(history),
            incumbent=best,
            similar=similar,
        )

    return describe
