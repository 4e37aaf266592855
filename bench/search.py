"""Search: evaluations each strategy needs to come within 5 % of the best, in worlds where the best is known.

The worlds are pools of recorded kernels (:mod:`bench.pool`) and two landscapes (:mod:`bench.landscapes`); the
strategies are kopt's own and those of published packages (:mod:`bench.opponents`), with models of models that cost and
fail as :data:`bench.worlds.MODELS` says. All strategies have the same budget of evaluations, the same models and the
same luck per seed; none sees what it has not paid for.
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
from bench.worlds import MODELS, World
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
            **middle([game.evaluations for game in played], luck),
            "reached": spread(played),
            "dollars": round(statistics.median(game.dollars for game in played), 4),
        }
        for name, played in games.items()
    }


def compare(games: dict[str, dict[str, list[Game]]], worlds: list[str]) -> dict[str, Any]:
    """How many times fewer evaluations evolve needs than each other strategy, at the median of these worlds."""

    def counts(name: str) -> list[list[float]]:
        return [[game.evaluations for game in games[world][name]] for world in worlds]

    luck = np.random.default_rng(0)
    return {name: fewer(counts("evolve"), counts(name), luck) for name in PLAYED if name != "evolve"}


Games = dict[str, dict[str, list[Game]]]
"""By world and strategy, in order of the seeds."""


def _play_all(worlds: dict[str, dict[int, World]]) -> Games:
    """Every strategy in every world. The packages have processes of their own, and play at the same time."""

    def through(name: str, game: Callable[[World, int], Game]) -> dict[str, list[Game]]:
        played = {}
        for world, by_seed in worlds.items():
            played[world] = [game(by_seed[seed], seed) for seed in SEEDS]
            print(world, name, statistics.median(game.evaluations for game in played[world]), flush=True)
        return played

    def ours(name: str) -> dict[str, list[Game]]:
        return through(name, lambda world, seed: play(world, name, seed))

    def theirs(opponent: Opponent) -> dict[str, list[Game]]:
        return through(opponent.package, lambda world, seed: play_opponent(world, opponent, seed))

    with opponents(settings().home / "bench" / "opponents") as them, ThreadPoolExecutor(len(them)) as threads:
        begun = {name: threads.submit(theirs, opponent) for name, opponent in them.items()}
        played = {name: ours(name) for name in STRATEGIES}
        played |= {name: future.result() for name, future in begun.items()}
    return {world: {name: played[name][world] for name in PLAYED} for world in worlds}


def table(rows: dict[str, Any], figures: dict[str, Any]) -> str:
    """The result as Markdown, losers included."""
    names = list(PLAYED)
    lines = ["| world | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for world, row in rows.items():
        cells = [
            f"{cell['median']:.0f} [{cell['low']:.0f}, {cell['high']:.0f}]"
            + (f" ({cell['reached']:.0%})" if cell["reached"] < 1 else "")
            for cell in (row[name] for name in names)
        ]
        lines.append(f"| {world} | " + " | ".join(cells) + " |")
    told = [
        f"| {name} | "
        + " | ".join(
            f"{f[name]['ratio']:.2f} [{f[name]['low']:.2f}, {f[name]['high']:.2f}]" for f in figures.values()
        )
        + " |"
        for name in figures["all"]
    ]
    against = "| against | " + " | ".join(figures) + " |\n|---" + "|---" * len(figures) + "|\n"
    return (
        """# Search

Evaluations until a candidate within 5 % of the best was found: median over 20 seeds with its 95 % interval, and the
share of games that got there within the budget, where that is not all of them (the others count with the budget).
Written by `python -m bench search`; what the worlds are stands in `bench/pool.py` and `bench/landscapes.py`, the
environment in `search.json`. How often models fail and what they cost is set, not measured.
The landscapes served while `evolve` was made, and five of the pools when its defaults were chosen, so they flatter
it; the unseen pools do not. How the packages are driven, and what of them is left out, stands in `bench/opponents.py`.

"""
        + "\n".join(lines)
        + "\n\nTimes fewer evaluations with `evolve` (median over worlds of the ratio of medians):\n\n"
        + against
        + "\n".join(told)
        + "\n"
    )


def run() -> bool:
    """Play all games, write, and say whether the figures were reached."""
    luck = np.random.default_rng(0)
    games = _play_all(_worlds())
    rows = {world: _row(played, luck) for world, played in games.items()}
    recorded = {pool.name: pool.facts() for pool in pools()}
    synthetic = [world for world in rows if world not in recorded]
    unseen = [name for name in UNSEEN if name in recorded]
    kinds = {"landscapes": synthetic, "pools": list(recorded), "unseen pools": unseen, "all": list(rows)}
    figures = {kind: compare(games, names) for kind, names in kinds.items() if names}
    loop = overhead.measure()
    models = [
        {"name": m.name, "dollars": m.dollars, "seconds": m.seconds, "spoils": dict(m.spoils)} for m in MODELS
    ]
    write(
        "search",
        {"fewer": figures, "needed": NEED, "loop": loop, "worlds": rows, "pools": recorded, "models": models},
    )
    (RESULTS / "search.md").write_text(table(rows, figures))
    print(json.dumps({"fewer": figures, "loop": loop}))
    enough = all(figures["all"][name]["ratio"] >= NEED["fewer"] for name in AGAINST)
    return (
        enough
        and len(recorded) >= NEED["problems"]
        and loop["ms_per_candidate"]["median"] <= NEED["overhead_ms"]
    )
