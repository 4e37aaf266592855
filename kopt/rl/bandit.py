"""Which model to ask, and for what: a bandit that buys improvement where it is cheapest.

Upper confidence bound on reward per cost, (mean reward + bonus) / mean cost: Tran-Thanh et al., "Knapsack based
optimal policies for budget-limited multi-armed bandits" (AAAI 2012), fractional KUBE; the use of UCB for choosing
among models is ShinkaEvolve's (Lange et al., 2025). Two changes, for runs of tens of evaluations and not thousands:

* an arm is a tuple of factors (model, role), and what is known of a factor from other arms is what is thought of an
  arm that has not been tried: with 3 models and 3 roles that takes 5 trials and not 9;
* the past fades (discounted UCB: Garivier and Moulines, 2011), for what a model is good for changes with the best.

Deterministic: the same calls bring the same choices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Arm = tuple[str, ...]

EXPLORE = 0.1
"""The bonus of an arm tried once, in units of reward."""
MEMORY = 0.98
"""What an observation weighs after another one, relative to before."""
PATIENCE = 12
"""An arm not tried yet goes first once it has been passed over that often."""
HOPE = 0.5
"""The reward expected where nothing is known."""
LEAST_COST = 1e-9


@dataclass
class _Account:
    """Discounted sums over the observations of an arm or a factor."""

    weight: float = 0.0
    reward: float = 0.0
    cost: float = 0.0

    def fade(self) -> None:
        self.weight *= MEMORY
        self.reward *= MEMORY
        self.cost *= MEMORY

    def add(self, reward: float, cost: float) -> None:
        self.weight += 1.0
        self.reward += reward
        self.cost += cost

    def means(self, reward: float, cost: float) -> tuple[float, float]:
        """Mean reward and cost, with one imagined observation of the values given."""
        more = self.weight + 1.0
        return (self.reward + reward) / more, (self.cost + cost) / more


class Bandit:
    """Chooses among arms and learns what they brought. Costs may be in any unit, the same for all."""

    def __init__(self) -> None:
        self._arms: dict[Arm, _Account] = {}
        self._factors: dict[tuple[int, str], _Account] = {}
        self._all = _Account()
        self._passed: dict[Arm, int] = {}
        self._open: dict[Arm, int] = {}

    def choose(self, arms: Sequence[Arm]) -> Arm:
        """The arm to try next, which counts as open until something is learned of it; of equals the first.

        Raises:
            ValueError: there is none.
        """
        if not arms:
            raise ValueError("a choice needs at least one arm")
        likely = self._not_awaited(arms)
        waiting = [arm for arm in likely if self._passed.get(arm, 0) >= PATIENCE]
        chosen = waiting[0] if waiting else max(likely, key=self.index)
        for arm in arms:
            if arm not in self._arms and arm != chosen:
                self._passed[arm] = self._passed.get(arm, 0) + 1
        self._open[chosen] = self._open.get(chosen, 0) + 1
        return chosen

    def _not_awaited(self, arms: Sequence[Arm]) -> Sequence[Arm]:
        """Without arms whose first try is under way, for what it costs is about to be known.

        Where all are, those of which least are: several tries at once must not all go to the one that looks best
        before anything is known.
        """
        free = [arm for arm in arms if arm in self._arms or not self._open.get(arm)]
        if free:
            return free
        least = min(self._open[arm] for arm in arms)
        return [arm for arm in arms if self._open[arm] == least]

    def learn(self, arm: Arm, reward: float, cost: float) -> None:
        """What an arm brought, 0 to 1, and what that took; a cost that is no positive number counts as least."""
        reward = min(1.0, max(0.0, reward))
        cost = max(LEAST_COST, cost) if math.isfinite(cost) else LEAST_COST
        factors = [self._factors.setdefault(factor, _Account()) for factor in enumerate(arm)]
        own = self._arms.setdefault(arm, _Account())
        self._passed.pop(arm, None)
        self._open[arm] = max(0, self._open.get(arm, 0) - 1)
        for account in (self._all, *self._arms.values(), *self._factors.values()):
            account.fade()
        for account in (self._all, own, *factors):
            account.add(reward, cost)

    def index(self, arm: Arm) -> float:
        """The upper confidence bound on the arm's reward per cost."""
        reward, cost = self._expected(arm)
        known = self._arms.get(arm, _Account()).weight
        bonus = EXPLORE * math.sqrt(math.log(math.e + self._all.weight) / (known + 1.0))
        return (reward + bonus) / max(LEAST_COST, cost)

    def _expected(self, arm: Arm) -> tuple[float, float]:
        """Mean reward and cost; what has not been seen of the arm is filled in from its factors."""
        reward = cost = 1.0
        overall = self._all.means(HOPE, self._all.cost / self._all.weight if self._all.weight else 1.0)
        for factor in enumerate(arm):
            mean = self._factors.get(factor, _Account()).means(*overall)
            reward *= mean[0] / overall[0]
            cost *= mean[1] / overall[1]
        prior = (min(1.0, reward * overall[0]), cost * overall[1])
        return self._arms.get(arm, _Account()).means(*prior)
