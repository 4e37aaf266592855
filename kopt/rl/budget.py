"""One ledger owns every budget of a run: what may be spent, what is promised, what is gone.

Resources are names (``seconds`` and ``evaluations`` today); a resource without a limit is counted all the
same. Wall time runs by itself; everything else is reserved before a call and settled after it, so that
calls in flight can never overspend together.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping

from kopt.errors import KoptError

SECONDS = "seconds"
EVALUATIONS = "evaluations"


class BudgetExhausted(KoptError):
    """A reservation does not fit what is left."""


class Reservation:
    """An amount promised to one call. Settle it with what was used; leaving the block else gives it back."""

    def __init__(self, ledger: Ledger, amounts: Mapping[str, float]) -> None:
        self._ledger = ledger
        self.amounts = dict(amounts)
        self._open = True

    def settle(self, **used: float) -> None:
        """Replace the promise by the real amounts (those promised, where none are given)."""
        if self._open:
            self._open = False
            self._ledger._close(self.amounts, used or self.amounts)

    def cancel(self) -> None:
        """The call never happened: nothing was used."""
        if self._open:
            self._open = False
            self._ledger._close(self.amounts, {})

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_error: object) -> None:
        self.cancel()


class Ledger:
    """The budget of one run."""

    def __init__(
        self,
        limits: Mapping[str, float | None],
        *,
        spent: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a ledger.

        Args:
            limits: most that may be spent of each resource; None is no limit.
            spent: what earlier sessions of a resumed run have used.
            clock: seconds, for wall time.
        """
        self.limits = {name: limit for name, limit in limits.items() if limit is not None}
        self._clock = clock
        self._lock = threading.Lock()
        self._promised: dict[str, float] = {}
        self.restore(spent or {})

    def restore(self, spent: Mapping[str, float]) -> None:
        """Continue from what was used up to some moment of an earlier session."""
        with self._lock:
            self._used = {name: amount for name, amount in spent.items() if name != SECONDS}
            self._started = self._clock() - spent.get(SECONDS, 0.0)

    @property
    def spent(self) -> dict[str, float]:
        """What is gone, wall time included."""
        with self._lock:
            return {EVALUATIONS: 0, **self._used, SECONDS: round(self._clock() - self._started, 3)}

    def left(self, resource: str) -> float:
        """What may still be promised of a resource; infinite without a limit, never negative."""
        if resource not in self.limits:
            return math.inf
        with self._lock:
            return max(0.0, self._left(resource))

    def _left(self, resource: str) -> float:
        used = self._clock() - self._started if resource == SECONDS else self._used.get(resource, 0.0)
        return self.limits[resource] - used - self._promised.get(resource, 0.0)

    def reserve(self, **amounts: float) -> Reservation:
        """Promise amounts to a call that is about to be made, all or none.

        Raises:
            BudgetExhausted: they do not fit, or no wall time is left.
        """
        with self._lock:
            wanted = {SECONDS: 0.0, **amounts}
            for name, amount in wanted.items():
                if name in self.limits and (self._left(name) < amount or self._left(name) <= 0):
                    raise BudgetExhausted(f"the budget of {self.limits[name]:g} {name} is spent")
            for name, amount in amounts.items():
                self._promised[name] = self._promised.get(name, 0.0) + amount
        return Reservation(self, amounts)

    def _close(self, promised: Mapping[str, float], used: Mapping[str, float]) -> None:
        with self._lock:
            for name, amount in promised.items():
                self._promised[name] -= amount
            for name, amount in used.items():
                if name != SECONDS:
                    self._used[name] = self._used.get(name, 0.0) + amount

    @property
    def exhausted(self) -> str | None:
        """The first resource of which nothing is left, or None."""
        return next((name for name in self.limits if self.left(name) <= 0), None)
