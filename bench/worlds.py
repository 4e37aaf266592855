"""What the strategies are compared on: places to search whose every answer is known beforehand.

A world says what is written afresh, what is made from a parent, and what an evaluation is. Proposals come from a
model's own luck: which sound candidate it goes for, and whether it spoils it. A strategy sees candidates and
evaluations in kopt's own words and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from kopt.agents.bill import charge
from kopt.agents.context import Context, Cost
from kopt.words import Candidate, Evaluation, Language, Problem, Speedup, Style, Verdict

PROBLEM = Problem(name="bench", format="model", sources={"bench.py": "x = 1\n"}, entry="bench.py")


@dataclass(frozen=True)
class Model:
    """A model of a model.

    Attributes:
        dollars, seconds: of a proposal.
        spoils: how often what it writes is broken, by role.
    """

    name: str
    dollars: float
    seconds: float
    spoils: Mapping[str, float]


MODELS = (
    Model("small", 0.001, 5.0, {"writer": 0.7, "optimiser": 0.5, "repairer": 0.6}),
    Model("middle", 0.006, 12.0, {"writer": 0.45, "optimiser": 0.3, "repairer": 0.35}),
    Model("large", 0.03, 25.0, {"writer": 0.3, "optimiser": 0.15, "repairer": 0.2}),
)
"""What models cost and how often they spoil a kernel is set, not measured."""


@dataclass(frozen=True)
class Outcome:
    """What the judge says of a proposal: the speed-up (None: not correct), its interval, seconds of evaluation."""

    ratio: float | None
    low: float = 0.0
    high: float = 0.0
    seconds: float = 3.0
    verdict: str = "correct"


class World(Protocol):
    """A place to search. Keys name candidates; a broken one is a sound one with a blemish."""

    name: str
    best: float
    """The largest ratio there is."""
    budget: int

    def draw(self, luck: random.Random) -> str:
        """A sound candidate as somebody writes it who knows nothing."""

    def near(self, key: str, luck: random.Random) -> str:
        """A sound candidate as somebody makes it from another."""

    def blemish(self, luck: random.Random) -> str:
        """A way of being broken."""

    def outcome(self, key: str, blemish: str | None) -> Outcome:
        """The evaluation."""


def candidate(key: str, blemish: str | None) -> Candidate:
    """A candidate that is nothing but its name."""
    name = key if blemish is None else f"{key}!{blemish}"
    return Candidate(
        sources={"kernel.py": f"kernel = {name!r}\n"},
        language=Language.TORCH,
        entry="kernel.py::kernel",
        style=Style.RETURNING,
        notes={"key": key, "blemish": blemish, "title": name},
    )


def evaluation(of: Candidate, found: Outcome) -> Evaluation:
    """An outcome in the judge's words."""
    gain = None if found.ratio is None else Speedup(ratio=found.ratio, low=found.low, high=found.high)
    return Evaluation(
        problem=PROBLEM.name,
        problem_digest=PROBLEM.digest,
        candidate=of.digest,
        verdict=Verdict(found.verdict),
        reason="" if found.verdict == "correct" else found.verdict,
        stages=(),
        speedup={"eager": gain},
        sandbox={},
        environment={},
        seconds=found.seconds,
    )


class Player:
    """A model as a proposer: it writes afresh, goes from a parent to a neighbour, or mends; some of it it spoils."""

    def __init__(self, world: World, model: Model, seed: str) -> None:
        self.name = model.name
        self.asked = 0
        self.model = model
        self._world = world
        self._seed = f"{seed}/{model.name}"

    def propose(self, context: Context) -> Iterator[Candidate]:
        """One proposal; never looks at an evaluation the strategy has not paid for, nor at any other's."""
        assert context.wanted is not None
        role, parent = context.wanted.role, context.wanted.parent[0] if context.wanted.parent else None
        charge(Cost(self.model.dollars, self.model.seconds))
        self.asked += 1
        world = self._world
        # Luck hangs on the question alone: who is asked at the same time changes nothing.
        luck = random.Random(f"{self._seed}/{role}/{parent.digest if parent else ''}/{context.sample}")
        if role == "writer" or parent is None:
            key = world.draw(luck)
        elif role == "repairer":
            key = str(parent.notes["key"])
        else:
            key = world.near(str(parent.notes["key"]), luck)
        spoilt = luck.random() < self.model.spoils[role]
        yield candidate(key, world.blemish(luck) if spoilt else None)

    def explain(self) -> list[str]:
        return []


def describe(history: Any, best: Any) -> Context:
    """What players are told."""
    return Context(problem=PROBLEM, history=tuple(history), incumbent=best)
