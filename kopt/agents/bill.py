"""What an answer has cost, counted where replies arrive: proposers have helpers and are asked several times at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field

from kopt.agents.context import Cost


@dataclass
class Bill:
    """What has been charged so far, or was charged when the replies were made."""

    cost: Cost = field(default_factory=Cost)


_OPEN: ContextVar[Bill | None] = ContextVar("bill", default=None)


@contextlib.contextmanager
def billing() -> Iterator[Bill]:
    """Open a bill for all that this thread asks models while the block lasts."""
    bill = Bill()
    token = _OPEN.set(bill)
    try:
        yield bill
    finally:
        _OPEN.reset(token)


def charge(cost: Cost) -> None:
    """Put it on the bill, if somebody keeps one."""
    bill = _OPEN.get()
    if bill is not None:
        bill.cost += cost
