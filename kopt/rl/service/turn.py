"""Whose turn it is on this machine: services of one home work one after the other, for timing needs it whole."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def turn(home: Path) -> Iterator[None]:
    """Wait until no other service works, then hold them off. A process that dies gives its turn back."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "turn.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
