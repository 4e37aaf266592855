"""When to try again: one retry layer for all calls to one server.

Waiting grows exponentially with full jitter, so that calls which failed together do not come back together.
What the server says (``Retry-After``) counts more, and holds back every call to it, not only the one that was
told.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to go on.

    Attributes:
        attempts: most attempts of one call.
        seconds: most seconds of one call, waiting included.
        first, longest: bounds of the wait, in seconds, after the first and after any failure.
        silence: seconds without a byte after which an attempt has failed.
        malformed: most replies of a wrong form before a call is given up.
    """

    attempts: int = 6
    seconds: float = 600.0
    first: float = 1.0
    longest: float = 60.0
    silence: float = 120.0
    malformed: int = 3


class Pace:
    """Shared by the calls to one server."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._open_at = 0.0
        self._random = random.Random()

    def wait(self, until: float) -> float:
        """Sleep until the server wants to be called again, but not beyond ``until``; return the time then."""
        while True:
            now = time.monotonic()
            with self._lock:
                pause = min(self._open_at, until) - now
            if pause <= 0:
                return now
            time.sleep(min(pause, 1.0))

    def hold(self, failures: int, retry_after: float | None) -> float:
        """After a failure: how many seconds from now this call may be repeated."""
        ceiling = min(self._patience.longest, self._patience.first * 2.0 ** (failures - 1))
        jitter = self._random.uniform(0.0, ceiling)
        if retry_after is None:
            return jitter
        with self._lock:
            self._open_at = max(self._open_at, time.monotonic() + retry_after)
        return retry_after + min(jitter, 0.1 * retry_after + self._patience.first)
