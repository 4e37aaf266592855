"""What a candidate may leave to libraries, and what it was seen to leave to them."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Policy(enum.StrEnum):
    """How library operators in a candidate are treated.

    ``strict``: the candidate's own code must do the work; library operators are named and it is rejected.
    ``allow-library``: they are permitted, and named in the record. ``free``: nobody looks.
    """

    STRICT = "strict"
    ALLOW_LIBRARY = "allow-library"
    FREE = "free"


@dataclass(frozen=True, kw_only=True)
class OperatorUse:
    """One library operator in one call of the candidate.

    ``bytes`` are what its calls read and wrote, ``flops`` what they computed where that is known; the shares
    are against all that the reference's operators move and compute, so that fusing makes their sum smaller.
    """

    name: str
    calls: int
    bytes: int
    flops: float
    share_of_bytes: float = 0.0
    share_of_flops: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Delegation:
    """What a candidate leaves to libraries.

    ``operators`` went through the dispatcher while one call was traced; ``symbols`` are what its built object
    asks of libraries past the dispatcher. ``independent`` says whether its outputs were still right when the
    library's operators were withheld: true is evidence in the judge's memory, not the runner's word. None
    where that was not tried (native code never reaches the dispatcher).
    """

    operators: tuple[OperatorUse, ...] = ()
    symbols: tuple[str, ...] = ()
    independent: bool | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that does the candidate's work in its place."""
        return (*(use.name for use in self.operators), *self.symbols)
