"""One ledger owns every budget of a run: what may be spent, what is promised, what is gone.

Resources are names: wall ``seconds``, ``evaluations``, ``device_seconds``, ``dollars``, ``tokens``. One without a
limit is counted all the same. Wall time runs by itself; everything else is reserved before a call and settled
after it, so that calls in flight can never overspend together:

* a call that knows an upper bound promises that; as long as bounds hold nothing is ever exceeded;
* a call that knows none promises ``math.inf``: it gets all that is left. One such call flies at a time: what others
  give back meanwhile goes to calls that know a bound. So a budget is exceeded by no more than what the one call that
  was running took beyond it.

What was used is counted whole, whatever was promised. Every settlement is handed to ``keep`` before the next one is,
so that what is in the store never goes back.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from kopt.errors import KoptError

SECONDS = "seconds"
EVALUATIONS = "evaluations"
DEVICE_SECONDS = "device_seconds"
DOLLARS = "dollars"
TOKENS = "tokens"


class BudgetExhausted(KoptError):
    """A reservation does not fit what is left."""


class Reservation:
    """An amount promised to one call. Settle it with what was used; leaving the block else gives it back."""

    def __init__(
        self, ledger: Ledger, amounts: Mapping[str, float], unbounded: frozenset[str] = frozenset()
    ) -> None:
        self._ledger = ledger
        self.unbounded = unbounded
        """Limited resources of which no bound is known."""
        self.amounts = dict(amounts)
        """What was promised; for ``math.inf`` all that was left, infinite where there is no limit."""

    def settle(self, **used: float) -> None:
        """Replace the promise by the real amounts (those promised, where none are given). Only once counts.

        Raises:
            ValueError: an amount is negative or not finite.
        """
        self._ledger._close(self, used or self.amounts)

    def cancel(self) -> None:
        """The call never happened: nothing was used."""
        self._ledger._close(self, {})

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_error: object) -> None:
        self.cancel()


class Ledger:
    """The budget of one run. Safe to use from several threads."""

    def __init__(
        self,
        limits: Mapping[str, float | None],
        *,
        spent: Mapping[str, float] | None = None,
        began: Mapping[str, float | None] | None = None,
        keep: Callable[[Mapping[str, float]], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a ledger.

        Args:
            limits: most that may be spent of each resource; None is no limit.
            spent: what earlier sessions of a resumed run have used.
            began: the limits the run began with, where it has been given others since.
            keep: gets all that is spent after every settlement, in order; see :meth:`keep_with`.
            clock: seconds, for wall time.
        """
        self.limits = {name: limit for name, limit in limits.items() if limit is not None}
        self.began = {name: limit for name, limit in (began or limits).items() if limit is not None}
        """The first limits: whoever decides by them decides the same when the run is resumed with more."""
        self._clock = clock
        self._keep = keep
        self._changed = threading.Condition()
        self._writing = threading.RLock()
        self._open: set[Reservation] = set()
        self._used = {name: amount for name, amount in (spent or {}).items() if name != SECONDS}
        self._started = clock() - (spent or {}).get(SECONDS, 0.0)
        self._shown: tuple[Mapping[str, float], float] | None = None

    def keep_with(self, keep: Callable[[Mapping[str, float]], None]) -> None:
        """From here on hand what is spent to ``keep`` after every settlement."""
        self._keep = keep

    @contextlib.contextmanager
    def settling(self, reservation: Reservation, **used: float) -> Iterator[dict[str, float]]:
        """Settle for a caller who keeps what is spent himself, in one piece with what it was spent on."""
        with self._writing:
            self._settle(reservation, used)
            yield self.spent

    @property
    def spent(self) -> dict[str, float]:
        """What is gone, wall time included."""
        with self._changed:
            return {EVALUATIONS: 0, **self._used, SECONDS: round(self._clock() - self._started, 3)}

    def show(self, spent: Mapping[str, float] | None) -> None:
        """Let :meth:`left` tell how things stood at some moment of the past, until None is shown.

        A strategy that is asked again about its past decides as it did then; accounts go on undisturbed.
        """
        with self._changed:
            self._shown = None if spent is None else (spent, self._clock())

    def left(self, resource: str) -> float:
        """What may still be promised of a resource; infinite without a limit, never negative."""
        with self._changed:
            if self._shown is None:
                return max(0.0, self._left(resource))
            spent, since = self._shown
            passed = self._clock() - since if resource == SECONDS else 0.0
            return max(0.0, self.limits.get(resource, math.inf) - spent.get(resource, 0.0) - passed)

    def _left(self, resource: str) -> float:
        if resource not in self.limits:
            return math.inf
        return self._unused(resource) - sum(promise.amounts.get(resource, 0.0) for promise in self._open)

    def _unused(self, resource: str) -> float:
        used = self._clock() - self._started if resource == SECONDS else self._used.get(resource, 0.0)
        return self.limits[resource] - used

    def reserve(self, *, wait: float = 0.0, **amounts: float) -> Reservation:
        """Promise amounts to a call that is about to be made, all or none.

        Args:
            wait: seconds to wait for calls in flight to give back what they do not need.
            amounts: upper bounds; ``math.inf`` where none is known.

        Raises:
            BudgetExhausted: they do not fit, or no wall time is left.
            ValueError: an amount is negative or no number.
        """
        if any(math.isnan(amount) or amount < 0 for amount in amounts.values()):
            raise ValueError(f"amounts are not negative: {amounts}")
        wanted, until = {SECONDS: 0.0, **amounts}, time.monotonic() + wait
        with self._changed:
            while (short := self._short(wanted)) is not None:
                if not self._may_fit(wanted) or time.monotonic() >= until:
                    raise BudgetExhausted(f"the budget of {self.limits[short]:g} {short} is spent")
                self._changed.wait(max(0.0, until - time.monotonic()))
            granted = {n: self._left(n) if math.isinf(a) else a for n, a in amounts.items() if n != SECONDS}
            unbounded = frozenset(n for n, a in amounts.items() if math.isinf(a) and n in self.limits)
            reservation = Reservation(self, granted, unbounded)
            self._open.add(reservation)
        return reservation

    def _short(self, wanted: Mapping[str, float]) -> str | None:
        """The first resource that has too little left, or is open to a call without a bound already."""
        for name, amount in wanted.items():
            taken = math.isinf(amount) and any(name in promise.unbounded for promise in self._open)
            if name in self.limits and (taken or not _fits(amount, self._left(name))):
                return name
        return None

    def _may_fit(self, wanted: Mapping[str, float]) -> bool:
        """Whether it would fit if the calls in flight turned out to cost nothing."""
        return all(_fits(a, self._unused(n)) for n, a in wanted.items() if n in self.limits)

    def forfeit(self) -> None:
        """Count what is promised as used: nobody waits for the calls it was promised to, nor knows what they cost."""
        with self._changed:
            promises = list(self._open)
        for promise in promises:
            promise.settle(**{n: a if math.isfinite(a) else 0.0 for n, a in promise.amounts.items()})

    def _close(self, reservation: Reservation, used: Mapping[str, float]) -> None:
        with self._writing:
            if self._settle(reservation, used) and used and self._keep is not None:
                self._keep(self.spent)

    def _settle(self, reservation: Reservation, used: Mapping[str, float]) -> bool:
        """Replace a promise by what was used; False where that has been done."""
        if not all(math.isfinite(amount) and amount >= 0 for amount in used.values()):
            raise ValueError(f"what was used is a finite amount, not {dict(used)}")
        with self._changed:
            if reservation not in self._open:
                return False
            self._open.remove(reservation)
            for name, amount in used.items():
                if name != SECONDS:
                    self._used[name] = self._used.get(name, 0.0) + amount
            self._changed.notify_all()
        return True

    @property
    def exhausted(self) -> str | None:
        """The first resource of which nothing is left, or None."""
        return next((name for name in self.limits if self.left(name) <= 0), None)


def _fits(amount: float, left: float) -> bool:
    return left > 0 and (math.isinf(amount) or amount <= left)
