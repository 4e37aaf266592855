"""Part of :mod:`bench.search`: one strategy in one world, counted; and what many such games say."""

from __future__ import annotations

import dataclasses
import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.opponents import Opponent
from bench.worlds import MODELS, Player, World, describe, evaluation
from kopt.agents.context import Wanted
from kopt.rl.asking import Asking
from kopt.rl.beam import Beam
from kopt.rl.best_of_n import BestOfN
from kopt.rl.evolve import Breeding, Evolve
from kopt.rl.ledger import EVALUATIONS, Ledger
from kopt.rl.refine import Refine
from kopt.rl.strategy import Plan, Strategy
from kopt.rl.team import OPTIMISER, REPAIRER, WRITER, Asked, Team
from kopt.words import Candidate, Evaluation

ENOUGH = 0.95
PROPOSALS = 3
"""Most proposals, in budgets of evaluations, where these are what is limited."""
MEAN_PRICE = statistics.mean(model.dollars for model in MODELS)
"""Dollars of a proposal, all models alike: a budget of dollars buys as many as that of evaluations has."""
RESAMPLES = 4000


class RandomChoice(Asking):
    """The control: any model, any role that applies, any parent, each as likely as the next."""

    name = "random"

    def __init__(self, team: Team, ledger: Ledger, seed: str) -> None:
        super().__init__(team, ledger)
        self._luck = random.Random(f"{seed}/choice")

    def _search(self) -> Plan:
        def begin() -> tuple[None, Asked]:
            made = list(self._seen.values())
            right, failed = [p for p in made if p[1].correct], [p for p in made if not p[1].correct]
            ways = [(WRITER, [None]), (OPTIMISER, right), (REPAIRER, failed)]
            role, parents = self._luck.choice([way for way in ways if way[1]])
            wanted = Wanted(role=role, parent=self._luck.choice(parents))
            return None, self._team.begin(self._luck.choice(self._team.members), made, None, wanted)

        for _, candidate, _ in self._answers(begin):
            if candidate is not None:
                yield from self._try(candidate, "explore")


class NoBandit(Evolve):
    """The ablation: evolve with models and roles drawn at random."""

    name = "evolve, no bandit"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        luck = random.Random(arguments[2].seed)
        self._bandit.choose = luck.choice  # type: ignore[method-assign]


Maker = Callable[[Sequence[Player], Ledger, int], Strategy]
STRATEGIES: dict[str, Maker] = {
    "evolve": lambda players, ledger, seed: Evolve(
        Team(players, describe), ledger, Breeding(seed=seed, patience=10_000)
    ),
    "evolve, 8 in flight": lambda players, ledger, seed: Evolve(
        Team(players, describe, in_flight=8), ledger, Breeding(seed=seed, patience=10_000)
    ),
    "evolve, no bandit": lambda players, ledger, seed: NoBandit(
        Team(players, describe), ledger, Breeding(seed=seed, patience=10_000)
    ),
    "beam": lambda players, ledger, seed: Beam(Team(players, describe), ledger),
    "refine": lambda players, ledger, seed: Refine(Team(players, describe), ledger),
    "best-of-n": lambda players, ledger, seed: BestOfN(Team(players, describe), ledger),
    "random": lambda players, ledger, seed: RandomChoice(Team(players, describe), ledger, str(seed)),
}


@dataclass(frozen=True)
class Game:
    """What was spent of the budget until a candidate within 5 % of the best was found; all of it where none was."""

    spent: float
    reached: bool


class Account:
    """The budget of a game: so many evaluations, or so many dollars. What is not limited is not counted."""

    def __init__(self, world: World, resource: str, players: Sequence[Player]) -> None:
        self.resource, self.players, self.evaluations = resource, players, 0
        self.limit = world.budget * (1.0 if resource == EVALUATIONS else MEAN_PRICE)
        self._proposals = PROPOSALS * world.budget if resource == EVALUATIONS else math.inf

    def ledger(self) -> Ledger:
        """As the strategy sees it; the last evaluation fits."""
        return Ledger({self.resource: self.limit + (self.resource == EVALUATIONS)})

    @property
    def spent(self) -> float:
        if self.resource == EVALUATIONS:
            return self.evaluations
        return sum(player.asked * player.model.dollars for player in self.players)

    @property
    def over(self) -> bool:
        return self.spent >= self.limit or sum(player.asked for player in self.players) > self._proposals

    def game(self, reached: bool) -> Game:
        return Game(min(self.spent, self.limit) if reached else self.limit, reached)


def play(world: World, name: str, seed: int, resource: str = EVALUATIONS) -> Game:
    """One strategy, one world, one seed; evaluations known already are free, as in the loop; proposals never are."""
    players = [Player(world, model, f"{world.name}/{name}/{seed}") for model in MODELS]
    account = Account(world, resource, players)
    ledger = account.ledger()
    strategy = STRATEGIES[name](players, ledger, seed)
    known: dict[str, Any] = {}
    while (trial := strategy.ask()) is not None and trial.phase != "confirm" and not account.over:
        of = trial.candidate
        made = known.get(of.digest)
        if made is None:
            with ledger.reserve(evaluations=1) as promise:
                made = known[of.digest] = evaluation(of, world.outcome(of.notes["key"], of.notes["blemish"]))
                promise.settle(evaluations=1)
            account.evaluations += 1
            if _enough(made, world):
                return account.game(True)
        strategy.tell(trial, made)
    return account.game(False)


def _enough(made: Evaluation, world: World) -> bool:
    gain = made.gain if made.correct else None
    return gain is not None and gain.ratio >= ENOUGH * world.best


def play_opponent(world: World, opponent: Opponent, seed: int, resource: str = EVALUATIONS) -> Game:
    """The same game with a published package as strategy; it gets the same models, luck and budget."""
    players = {m.name: Player(world, m, f"{world.name}/{opponent.package}/{seed}") for m in MODELS}
    made: dict[str, tuple[Candidate, Evaluation]] = {}
    times: Counter[tuple[str, str | None]] = Counter()
    account = Account(world, resource, list(players.values()))
    parent, name = opponent.begin(list(players), seed)
    while not account.over:
        player, pair = players[name], made[parent] if parent is not None else None
        role = WRITER if pair is None else OPTIMISER if pair[1].correct else REPAIRER
        context = dataclasses.replace(
            describe([], None), wanted=Wanted(role=role, parent=pair), sample=times[name, parent]
        )
        times[name, parent] += 1
        of = next(player.propose(context))
        title = str(of.notes["title"])
        if title not in made:
            made[title] = of, evaluation(of, world.outcome(of.notes["key"], of.notes["blemish"]))
            account.evaluations += 1
        found = made[title][1]
        if _enough(found, world):
            return account.game(True)
        gain = found.gain if found.correct else None
        worth = gain.ratio if gain is not None else 0.0
        parent, name = opponent.tell(
            name=title, parent=parent, model=name, score=worth, dollars=player.model.dollars
        )
    return account.game(False)


def middle(values: Sequence[float], luck: np.random.Generator) -> dict[str, float]:
    """The median with its 95 % bootstrap interval over seeds."""
    sample = np.asarray(values, float)
    medians = np.median(luck.choice(sample, (RESAMPLES, len(sample))), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return {"median": float(np.median(sample)), "low": float(low), "high": float(high)}


def fewer(
    ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], luck: np.random.Generator
) -> dict[str, float]:
    """How many times more theirs is than ours: the median over worlds of the ratio of medians over seeds.

    The interval is from resampling the seeds of every world. A game that did not reach its goal counts with the budget,
    which flatters whoever lost it.
    """

    def ratio(a: Sequence[Any], b: Sequence[Any]) -> Any:
        return np.median(
            [np.median(y, axis=-1) / np.median(x, axis=-1) for x, y in zip(a, b, strict=True)], axis=0
        )

    def again(games: Sequence[Sequence[float]]) -> list[Any]:
        return [luck.choice(np.asarray(g, float), (RESAMPLES, len(g))) for g in games]

    low, high = np.percentile(ratio(again(ours), again(theirs)), [2.5, 97.5])
    return {"ratio": float(ratio(ours, theirs)), "low": float(low), "high": float(high)}


def spread(games: Sequence[Game]) -> float:
    """The share of games that reached their goal."""
    return statistics.mean(game.reached for game in games)
