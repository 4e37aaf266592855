"""How wide the registers of a kernel are, as a tunable: the machine's own, or half of that.

Half registers cost more instructions. They waste less at the end of short rows, need no lowered clock and no split
loads on processors that give for full width only on paper, and leave scans fewer steps within a register.
"""

from __future__ import annotations

from kopt.sandbox.devices import cpu_facts
from kopt.words import Tunable

NAME = "WIDTH"
"""The macro that :mod:`prelude` reads. A machine that has less takes what it has."""
MEANING = {NAME: "bytes of a register, as far as the machine has them"}


def tunables() -> tuple[Tunable, ...]:
    """The choice of width, the machine's own by default; none where it has no register of 64 bytes.

    Half of 32 is never offered: there the halves would only double the work.
    """
    if "avx512f" not in cpu_facts()["isa"]:
        return ()
    return (Tunable(name=NAME, choices=(32, 64), default=64),)
