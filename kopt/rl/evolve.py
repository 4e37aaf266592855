"""Evolution with models as the source of variation: islands, novelty before evaluation, a bandit that minds the price.

The shape is ShinkaEvolve's (Lange et al., "ShinkaEvolve: Towards open-ended and sample-efficient program evolution",
2025): an island's turn; the bandit says which model works in which role; the role says on what (the optimiser on a
parent drawn from the island, the repairer on a failure, the writer on nothing); what is not novel is asked for again
before it costs an evaluation, from another parent; what comes back is judged and moves the populations.

Given the same evaluations, the same proposals and the same seed it asks for the same trials: all luck comes from one
generator, and what decides (scores, prices of replies, seconds of evaluations) is what was recorded.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from kopt.agents.context import Cost, Wanted
from kopt.rl.asking import Asking
from kopt.rl.bandit import Arm, Bandit
from kopt.rl.islands import Island, Islands
from kopt.rl.ledger import DOLLARS, EVALUATIONS, SECONDS, Ledger
from kopt.rl.novelty import Novelty
from kopt.rl.searching import STEP
from kopt.rl.strategy import Plan, score
from kopt.rl.team import OPTIMISER, REPAIRER, WRITER, Asked, Pair, Team
from kopt.words import Candidate, Evaluation

ALIVE = 0.2
"""The reward of a candidate that is right and no better: it is known what did not help."""
DRAFTS = 4
"""Correct candidates from which on an island needs no more that are written afresh, unless the search is widened."""
REFUSED = 3
"""Proposals in a row that were not novel, after which the turn is over."""
IDLE = 16
"""Turns in a row that brought no candidate, after which the search ends."""


@dataclass(frozen=True, kw_only=True)
class Breeding:
    """The options of :class:`Evolve`; what they mean stands in :mod:`kopt.rl.strategy_options`."""

    population: int = 4
    islands: int = 1
    migration: int = 20
    stall: int = 12
    patience: int = 48
    alike: float = 0.9
    seed: int = 0


@dataclass
class _Turn:
    """An island's turn: who is asked in which role, about what, and how that has gone so far."""

    island: Island
    arm: Arm
    parent: Pair | None
    age: int
    cost: Cost = field(default_factory=Cost)
    refused: int = 0


class Evolve(Asking):
    """Breed on islands, confirm the best."""

    name = "evolve"

    def __init__(
        self,
        team: Team,
        ledger: Ledger,
        options: Breeding = Breeding(),
    ) -> None:
        super().__init__(team, ledger)
        self._patience = options.patience
        self._bandit = Bandit()
        self._novelty = Novelty(options.alike)
        self._islands = Islands(
            count=options.islands,
            population=options.population,
            migration=options.migration,
            stall=options.stall,
            chance=random.Random(options.seed),
        )
        self._refusals = 0

    def explain(self) -> list[str]:
        """What the models had to say, and how many of their proposals were not evaluated."""
        refused = [f"{self._refusals} proposals were not novel and not evaluated"] if self._refusals else []
        return [*super().explain(), *refused]

    def _search(self) -> Plan:
        best, fruitless, idle = 0.0, 0, 0
        again: list[_Turn] = []

        def begin() -> tuple[_Turn, Asked] | None:
            if again:
                turn = again.pop()
            elif fruitless < self._patience and idle < IDLE:
                turn = self._choose(self._islands.turn())
            else:
                return None
            return turn, self._question(turn)

        for turn, candidate, cost in self._answers(begin):
            turn.cost += cost
            if candidate is not None and self._novelty.refusal(candidate) is not None:
                candidate = None
                self._refusals += 1
                turn.refused += 1
                if turn.refused < REFUSED:
                    self._renew(turn)
                    again.append(turn)
                    continue
            if candidate is None:
                self._bandit.learn(turn.arm, 0.0, self._price(turn.cost))
                self._islands.passed(turn.island, turn.parent, REFUSED)
                idle += 1
                continue
            idle = 0
            yield from self._try(candidate, "explore")
            evaluation = self._seen[candidate.digest][1]
            self._learn(turn, candidate, evaluation)
            fruitless = 0 if score(evaluation) > best * STEP else fruitless + 1
            best = max(best, score(evaluation))

    def _learn(self, turn: _Turn, candidate: Candidate, evaluation: Evaluation) -> None:
        """What came of a turn moves the bandit, the memory of what is novel, and the populations."""
        parent = turn.parent
        whole = turn.cost + Cost(seconds=evaluation.seconds)
        reward = self._reward(evaluation, parent, turn.island)
        self._bandit.learn(turn.arm, reward, self._price(whole, evaluations=1))
        gained = score(evaluation) > (score(parent[1]) if parent else 0.0) * STEP
        self._novelty.note(candidate, gained=gained)
        self._islands.add(turn.island, (candidate, evaluation), parent, turn.age)

    def _choose(self, island: Island) -> _Turn:
        """A turn of the model and role that promise most, and what they are to work on."""
        broken = self._islands.repairable(island)
        fresh = len(island.members) < DRAFTS or self._islands.widened
        roles = [WRITER] if fresh else []
        if island.members:
            roles.append(OPTIMISER)
        if broken is not None:
            roles.append(REPAIRER)
        arms = [(proposer.name, role) for role in roles for proposer in self._team.members]
        arm = self._bandit.choose(arms)
        parent = None
        if arm[1] == OPTIMISER:
            parent = self._islands.parent(island)
        elif arm[1] == REPAIRER and broken is not None:
            parent = broken
            self._islands.mend(broken)
        return _Turn(island, arm, parent, island.age)

    def _renew(self, turn: _Turn) -> None:
        """Another parent for a turn whose proposal was not novel: of the one it had, the variations are known."""
        if turn.arm[1] == OPTIMISER and turn.island.members:
            turn.parent, turn.age = self._islands.parent(turn.island), turn.island.age

    def _question(self, turn: _Turn) -> Asked:
        """Ask for what a turn wants; where its model has been left out, another one."""
        name, role = turn.arm
        members = self._team.members
        proposer = next((member for member in members if member.name == name), members[0])
        return self._ask(proposer, Wanted(role=role, parent=turn.parent))

    def _reward(self, evaluation: Evaluation, parent: Pair | None, island: Island) -> float:
        """0 for what is not right, :data:`ALIVE` for what is no better, 1 for a gain of 41 % (half an octave).

        Better than the parent; what has none that is right is compared with the island's best.
        """
        value = score(evaluation)
        if value <= 0:
            return 0.0
        against = (score(parent[1]) if parent else 0.0) or island.best or value
        return ALIVE + (1 - ALIVE) * min(1.0, max(0.0, 2 * math.log2(value / against)))

    def _price(self, cost: Cost, evaluations: int = 0) -> float:
        """What a turn took of everything that is limited, in shares of the limits; alike where nothing is.

        So is the price of an arm in bandits with knapsacks (Badanidiyuru, Kleinberg and Slivkins, 2013).
        """
        took = {DOLLARS: cost.dollars, SECONDS: cost.seconds, EVALUATIONS: evaluations}
        limits = self._ledger.began
        shares = [amount / limits[name] for name, amount in took.items() if name in limits]
        return sum(shares) if shares else 1.0
