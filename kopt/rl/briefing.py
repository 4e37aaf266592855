"""The models of a run as proposers, and what they are told: as the options that all their strategies share say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kopt.rl.ledger import Ledger
from kopt.rl.team import Describe, Explaining, History, Pair
from kopt.words import Problem

if TYPE_CHECKING:
    from kopt.agents.chat.words import ChatModel
    from kopt.agents.context import Context
    from kopt.verifiers.evaluator import Evaluator


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a strategy is put to work with. ``run`` names what is looked up once; it is "" where there is no run."""

    problem: Problem
    evaluator: Evaluator
    ledger: Ledger
    models: Sequence[ChatModel] = ()
    run: str = ""


def asking(setting: Setting, options: Mapping[str, float]) -> tuple[list[Explaining], Describe]:
    """The models as proposers, and how the context of a question is made.

    Args:
        setting: with ``review`` the next of its models reviews what one proposes; a single one reviews itself.
        options: :data:`kopt.rl.strategy_options.BRIEFING`, filled in.
    """
    from kopt.agents.context import MACHINE, Context
    from kopt.agents.llm import LlmProposer
    from kopt.agents.planner import Planner
    from kopt.agents.reviewer import Reviewer
    from kopt.rl.evidence import Profiles
    from kopt.rl.retrieval import similar_kernels

    problem, evaluator, models = setting.problem, setting.evaluator, setting.models
    machine = {name: evaluator.environment[name] for name in MACHINE if evaluator.environment.get(name)}
    most = int(options["similar"])
    similar = similar_kernels(problem, most, evaluator.settings, setting.run) if most else ()

    def describe(history: History, best: Pair | None) -> Context:
        return Context(
            problem=problem,
            specs=evaluator.specs,
            machine=machine,
            history=tuple(history),
            incumbent=best,
            similar=similar,
        )

    def reviewer(place: int) -> Reviewer | None:
        return Reviewer(models[(place + 1) % len(models)], evaluator.observe) if options["review"] else None

    def planner(model: ChatModel) -> Planner | None:
        return Planner(model, int(options["plan"])) if options["plan"] else None

    evidence = Profiles(evaluator, setting.ledger, options["profiles"]) if options["profiles"] else None
    proposers: list[Explaining] = [
        LlmProposer(model, planner=planner(model), reviewer=reviewer(place), evidence=evidence)
        for place, model in enumerate(models)
    ]
    return proposers, describe
