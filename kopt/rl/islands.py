"""Populations that evolve apart and exchange their best.

Parents are drawn as in ShinkaEvolve (Lange et al., 2025): by a sigmoid of how far a score lies above the median, times
1 / (1 + children), so that a good parent that has been used much leaves room for others. Islands, migration and
restarting the worst from the best of the others are FunSearch's (Romera-Paredes et al., 2024).
"""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from kopt.rl.searching import STEP
from kopt.rl.strategy import score
from kopt.rl.team import Pair

STEEP = 6.0
"""How sharply better parents are preferred, in median absolute deviations; ShinkaEvolve takes 10."""
WIDE = 1.0
"""The same while the search is widened."""
REPAIRS = 2
"""Attempts at repairing a candidate before it is given up."""
INHERIT = 0.25
"""How often an island that is restarted inherits the best of another one."""
BROKEN = 4
"""Failed candidates an island remembers for repair."""


@dataclass
class Island:
    """Correct candidates, best first, and failed ones that wait for repair, newest last."""

    members: list[Pair] = field(default_factory=list)
    broken: list[Pair] = field(default_factory=list)
    stalled: int = 0
    """Evaluations since the best last improved."""
    age: int = 0
    """How often it was restarted."""

    @property
    def best(self) -> float:
        """The best score, 0 without members."""
        return score(self.members[0][1]) if self.members else 0.0


class Islands:
    """All populations of a run."""

    def __init__(
        self, *, count: int, population: int, migration: int, stall: int, chance: random.Random
    ) -> None:
        """Start with empty islands.

        Args:
            count: how many.
            population: correct candidates an island keeps.
            migration: evaluations between migrations.
            stall: evaluations without a gain after which the worst island is restarted.
            chance: where all luck comes from.
        """
        self.islands = [Island() for _ in range(count)]
        self._population = population
        self._migration = migration
        self._stall = stall
        self._chance = chance
        self._children: Counter[str] = Counter()
        self._repairs: Counter[str] = Counter()
        self._mending: set[str] = set()
        self._evaluated = self._open = 0
        self.widened = False

    def turn(self) -> Island:
        """The island whose turn it is: in order, but one that has nothing yet comes first.

        Every turn ends in :meth:`add` or :meth:`passed`; others may begin before that.
        """
        number = self._evaluated + self._open
        self._open += 1
        empty = [island for island in self.islands if not island.members]
        started = [island for island in self.islands if island.members]
        if empty and (not started or number % 2):
            return empty[0]
        return started[number % len(started)]

    def parent(self, island: Island) -> Pair:
        """A member drawn by score and number of children; while the search is widened one of any island."""
        members = island.members
        if self.widened:
            members = list({pair[0].digest: pair for i in self.islands for pair in i.members}.values())
        drawn = self._chance.choices(members, weights=self.weights(members))[0]
        self._children[drawn[0].digest] += 1
        return drawn

    def weights(self, members: Sequence[Pair]) -> list[float]:
        """How likely each is to be drawn, in proportion."""
        scores = [score(evaluation) for _, evaluation in members]
        middle = statistics.median(scores)
        spread = statistics.median(abs(s - middle) for s in scores) or max(scores) - middle or 1.0
        steep = WIDE if self.widened else STEEP
        return [
            1.0
            / (1.0 + math.exp(-_bounded(steep * (s - middle) / spread)))
            / (1 + self._children[pair[0].digest])
            for s, pair in zip(scores, members, strict=True)
        ]

    def repairable(self, island: Island) -> Pair | None:
        """The newest failed candidate that is worth another attempt and is not being worked on."""
        waiting = [pair for pair in island.broken if pair[0].digest not in self._mending]
        return waiting[-1] if waiting else None

    def mend(self, broken: Pair) -> None:
        """A failed candidate is being worked on, until its turn ends."""
        self._mending.add(broken[0].digest)

    def _ended(self, parent: Pair | None) -> None:
        self._open = max(0, self._open - 1)
        if parent is not None:
            self._mending.discard(parent[0].digest)

    def add(self, island: Island, pair: Pair, parent: Pair | None, age: int | None = None) -> None:
        """A candidate was evaluated: keep it where it belongs, and do what is due.

        ``age`` is the island's when the candidate was asked for. Were the children of what has been cleared away kept
        on a restarted island, it would be as it was; one of them stays only if it is better than all there is.
        """
        self._evaluated += 1
        self._ended(parent)
        value = score(pair[1])
        late = parent is not None and age is not None and age != island.age
        if late and value <= STEP * max(other.best for other in self.islands):
            return
        if parent is not None:
            self._repaired(island, parent, pair)
        before = island.best
        if value > 0:
            self._settle(island, pair)
        elif not pair[1].correct and self._repairs[pair[0].digest] < REPAIRS:
            island.broken = [*island.broken, pair][-BROKEN:]
        island.stalled = 0 if value > before * STEP else island.stalled + 1
        if self._evaluated % self._migration == 0 and len(self.islands) > 1:
            self._migrate()
        self._tend()

    def _repaired(self, island: Island, parent: Pair, child: Pair) -> None:
        """A failed candidate was worked on: what came of it takes its place, with the attempts it has had."""
        digest = parent[0].digest
        if not parent[1].correct:
            self._repairs[child[0].digest] = self._repairs[digest] + 1
            island.broken = [other for other in island.broken if other[0].digest != digest]

    def _settle(self, island: Island, pair: Pair) -> None:
        if all(pair[0].digest != other[0].digest for other in island.members):
            # of equals the newer one stays: populations drift over plateaus
            ranked = sorted([pair, *island.members], key=lambda member: -score(member[1]))
            island.members = ranked[: self._population]

    def passed(self, island: Island, parent: Pair | None, turns: int) -> None:
        """A turn brought nothing new: as good as that many evaluations without a gain. What failed is given up."""
        self._ended(parent)
        island.stalled += turns
        if parent is not None and not parent[1].correct:
            island.broken = [other for other in island.broken if other[0].digest != parent[0].digest]
        self._tend()

    def _tend(self) -> None:
        """Widen and restart, when due."""
        self.widened = all(island.stalled >= self._stall for island in self.islands if island.members)
        stuck = [island for island in self.islands if island.members and island.stalled >= 2 * self._stall]
        for island in stuck:
            island.stalled = 0
            self._restart(island)

    def _migrate(self) -> None:
        """Every island's best settles on the next one too, if that has stalled: one that climbs is left alone."""
        leaving = [island.members[:1] for island in self.islands]
        for index, pairs in enumerate(leaving):
            next_one = self.islands[(index + 1) % len(self.islands)]
            for pair in pairs:
                if next_one.stalled >= self._stall:
                    self._settle(next_one, pair)

    def _restart(self, island: Island) -> None:
        """Begin again: with the best of another island or, more often, with nothing.

        What is the best of all settles on the worst of the others first; with nobody to keep it, it stays.
        """
        others = [other for other in self.islands if other is not island and other.members]
        if not others and len(self.islands) > 1:
            return
        leaving, island.members, island.broken = island.members[0], [], []
        island.age += 1
        if not others:
            return
        best = max(others, key=lambda other: other.best)
        if best.best < score(leaving[1]):
            self._settle(min(others, key=lambda other: other.best), leaving)
        elif self._chance.random() < INHERIT:
            island.members = best.members[:1]


def _bounded(value: float) -> float:
    return max(-50.0, min(50.0, value))
