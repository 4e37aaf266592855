"""Search: evaluations, or dollars, each strategy needs to come within 5 % of the best, where the best is known.

The worlds are pools of recorded kernels (:mod:`bench.pool`) and two landscapes (:mod:`bench.landscapes`); the
strategies are kopt's own and those of published packages (:mod:`bench.opponents`), with models of models that cost and
fail as :data:`bench.worlds.MODELS` says. All strategies have the same budget of evaluations (in other games: of
dollars), the same models and the same luck per seed; none sees what it has not paid for.
Also measured: what the loop itself costs per candidate (:mod:`bench.overhead`).
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from bench import overhead
from bench.contest import STRATEGIES, Game, fewer, middle, play, play_opponent, spread
from bench.landscapes import NK, Plateau
from bench.opponents import PACKAGES, Opponent, opponents
from bench.pool import pools
from bench.record import RESULTS, write
from bench.search_report import report
from bench.worlds import MODELS, World
from kopt.rl.ledger import DOLLARS, EVALUATIONS
from kopt.settings import settings

SEEDS = range(20)
AGAINST = ("random", "best-of-n")
UNSEEN = ("conv_wide", "linear_few_rows", "linear_shallow")
"""Pools that nobody looked at while ``evolve`` got its defaults; the others were looked at."""
PLAYED = (*STRATEGIES, *PACKAGES)
NEED = {"fewer": 1.5, "overhead_ms": 20.0, "problems": 8}


def _worlds() -> dict[str, dict[int, World]]:
    """Every world by seed: pools are the same for all seeds, landscapes are drawn anew."""
    worlds: dict[str, dict[int, World]] = {pool.name: dict.fromkeys(SEEDS, pool) for pool in pools()}
    worlds["nk"] = {seed: NK(seed) for seed in SEEDS}
    worlds["plateau"] = {seed: Plateau(seed) for seed in SEEDS}
    return worlds


def _row(games: dict[str, list[Game]], luck: np.random.Generator) -> dict[str, Any]:
    return {
        name: {
            **middle([game.spent for game in played], luck),
            "reached": spread(played),
        }
        for name, played in games.items()
    }


def compare(games: dict[str, dict[str, list[Game]]], worlds: list[str]) -> dict[str, Any]:
    """How many times less evolve needs than each other strategy, at the median of these worlds."""

    def counts(name: str) -> list[list[float]]:
        return [[game.spent for game in games[world][name]] for world in worlds]

    luck = np.random.default_rng(0)
    return {name: fewer(counts("evolve"), counts(name), luck) for name in PLAYED if name != "evolve"}


Games = dict[str, dict[str, list[Game]]]
"""By world and strategy, in order of the seeds."""


def _play_all(worlds: dict[str, dict[int, World]], resource: str) -> Games:
    """Every strategy in every world. The packages have processes of their own, and play at the same time."""

    def through(name: str, game: Callable[[World, int], Game]) -> dict[str, list[Game]]:
        played = {}
        for world, by_seed in worlds.items():
            played[world] = [game(by_seed[seed], seed) for seed in SEEDS]
            middle_one = statistics.median(game.spent for game in played[world])
            print(world, name, round(middle_one, 4), resource, flush=True)
        return played

    def ours(name: str) -> dict[str, list[Game]]:
        return through(name, lambda world, seed: play(world, name, seed, resource))

    def theirs(opponent: Opponent) -> dict[str, list[Game]]:
        return through(opponent.package, lambda world, seed: play_opponent(world, opponent, seed, resource))

    with opponents(settings().home / "bench" / "opponents") as them, ThreadPoolExecutor(len(them)) as threads:
        begun = {name: threads.submit(theirs, opponent) for name, opponent in them.items()}
        played = {name: ours(name) for name in STRATEGIES}
        played |= {name: future.result() for name, future in begun.items()}
    return {world: {name: played[name][world] for name in PLAYED} for world in worlds}


def _compete(worlds: dict[str, dict[int, World]], resource: str, recorded: list[str]) -> dict[str, Any]:
    """All games under a budget of one resource: rows of the table, and how many times less evolve needs."""
    luck = np.random.default_rng(0)
    games = _play_all(worlds, resource)
    rows = {world: _row(played, luck) for world, played in games.items()}
    synthetic = [world for world in rows if world not in recorded]
    unseen = [name for name in UNSEEN if name in recorded]
    kinds = {"landscapes": synthetic, "pools": recorded, "unseen pools": unseen, "all": list(rows)}
    return {"worlds": rows, "fewer": {kind: compare(games, names) for kind, names in kinds.items() if names}}


def run() -> bool:
    """Play all games, write, and say whether the figures were reached."""
    recorded = {pool.name: pool.facts() for pool in pools()}
    worlds = _worlds()
    budgets = {name: _compete(worlds, name, list(recorded)) for name in (EVALUATIONS, DOLLARS)}
    loop = overhead.measure()
    models = [
        {"name": m.name, "dollars": m.dollars, "seconds": m.seconds, "spoils": dict(m.spoils)} for m in MODELS
    ]
    write("search", {**budgets, "needed": NEED, "loop": loop, "pools": recorded, "models": models})
    (RESULTS / "search.md").write_text(report(budgets))
    print(json.dumps({name: budget["fewer"] for name, budget in budgets.items()} | {"loop": loop}))
    enough = all(
        budget["fewer"]["all"][name]["ratio"] >= NEED["fewer"]
        for budget in budgets.values()
        for name in AGAINST
    )
    return (
        enough
        and len(recorded) >= NEED["problems"]
        and loop["ms_per_candidate"]["median"] <= NEED["overhead_ms"]
    )
