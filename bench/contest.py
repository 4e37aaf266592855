"""Part of :mod:`bench.search`: one strategy in one world, counted; and what many such games say."""

from __future__ import annotations

import dataclasses
import random
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.opponents import Opponent
from bench.worlds import DOLLARS_PER_SECOND, MODELS, Player, World, describe, evaluation
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
"""Most proposals, in budgets of evaluations."""
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
    """Evaluations until a candidate within 5 % of the best was found, or the budget; dollars spent till then."""

    evaluations: int
    reached: bool
    dollars: float


def play(world: World, name: str, seed: int) -> Game:
    """One strategy, one world, one seed; evaluations known already are free, as in the loop; proposals never are."""
    ledger = Ledger({EVALUATIONS: world.budget + 1})
    players = [Player(world, model, f"{world.name}/{name}/{seed}") for model in MODELS]
    strategy = STRATEGIES[name](players, ledger, seed)
    known: dict[str, Any] = {}
    seconds = 0.0
    while (trial := strategy.ask()) is not None and trial.phase != "confirm":
        if sum(player.asked for player in players) > PROPOSALS * world.budget:
            break
        of = trial.candidate
        made = known.get(of.digest)
        if made is None:
            with ledger.reserve(evaluations=1) as promise:
                made = known[of.digest] = evaluation(of, world.outcome(of.notes["key"], of.notes["blemish"]))
                promise.settle(evaluations=1)
            seconds += made.seconds
            gain = made.gain if made.correct else None
            if gain is not None and gain.ratio >= ENOUGH * world.best:
                return Game(len(known), True, _dollars(players, seconds))
        strategy.tell(trial, made)
    return Game(world.budget, False, _dollars(players, seconds))


def play_opponent(world: World, opponent: Opponent, seed: int) -> Game:
    """The same game with a published package as strategy; it gets the same models, luck and budget."""
    players = {m.name: Player(world, m, f"{world.name}/{opponent.package}/{seed}") for m in MODELS}
    made: dict[str, tuple[Candidate, Evaluation]] = {}
    times: Counter[tuple[str, str | None]] = Counter()
    seconds = 0.0
    parent, name = opponent.begin(list(players), seed)
    while len(made) < world.budget and sum(times.values()) < PROPOSALS * world.budget:
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
            seconds += made[title][1].seconds
        found = made[title][1]
        gain = found.gain if found.correct else None
        if gain is not None and gain.ratio >= ENOUGH * world.best:
            return Game(len(made), True, _dollars(list(players.values()), seconds))
        worth = gain.ratio if gain is not None else 0.0
        parent, name = opponent.tell(
            name=title, parent=parent, model=name, score=worth, dollars=player.model.dollars
        )
    return Game(world.budget, False, _dollars(list(players.values()), seconds))


def _dollars(players: Sequence[Player], seconds: float) -> float:
    asked = sum(
        player.asked * (player.model.dollars + DOLLARS_PER_SECOND * player.model.seconds)
        for player in players
    )
    return asked + DOLLARS_PER_SECOND * seconds


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
