"""The service's budget: evaluations, and seconds of work (not of waiting), in the ledger that runs use too."""

from __future__ import annotations

import math

from kopt.rl.ledger import DEVICE_SECONDS, EVALUATIONS, BudgetExhausted, Ledger, Reservation


class Budget:
    """What may be spent while the service is open; None is no limit."""

    def __init__(self, evaluations: int | None = None, seconds: float | None = None) -> None:
        self.ledger = Ledger({EVALUATIONS: evaluations, DEVICE_SECONDS: seconds})

    def evaluations(self, wanted: float) -> Reservation:
        """Promise evaluations to a job; ``math.inf`` asks for all that are left.

        Raises:
            BudgetExhausted: there are too few, or no seconds to make them in.
        """
        if self.seconds_left <= 0:
            raise self._spent(DEVICE_SECONDS, "seconds")
        try:
            return self.ledger.reserve(**{EVALUATIONS: wanted} if wanted else {})
        except BudgetExhausted:
            raise self._spent(EVALUATIONS, "evaluations") from None

    def seconds(self) -> Reservation:
        """Promise all seconds that are left to the one job that is begun.

        Raises:
            BudgetExhausted: there are none.
        """
        try:
            return self.ledger.reserve(**{DEVICE_SECONDS: math.inf})
        except BudgetExhausted:
            raise self._spent(DEVICE_SECONDS, "seconds") from None

    @property
    def seconds_left(self) -> float:
        """Seconds not yet worked, whether promised or not; infinite without a limit."""
        spent = self.ledger.spent.get(DEVICE_SECONDS, 0.0)
        return max(0.0, self.ledger.limits.get(DEVICE_SECONDS, math.inf) - spent)

    def left(self) -> dict[str, float]:
        """What is left of that which is limited."""
        left = {}
        if EVALUATIONS in self.ledger.limits:
            left["evaluations"] = self.ledger.left(EVALUATIONS)
        if DEVICE_SECONDS in self.ledger.limits:
            left["seconds"] = round(self.seconds_left, 1)
        return left

    def _spent(self, resource: str, name: str) -> BudgetExhausted:
        limit = self.ledger.limits[resource]
        return BudgetExhausted(
            f"the server's budget is spent: {self.left()[name]:g} of {limit:g} {name} are left; whoever runs it "
            f"can start it with more (--budget-{name})"
        )
