"""Triton by its interpreter: which workloads are small enough for it, how many cases of each, and what is left out.

No device decides here, so every shape a candidate may be wrong for has to be interpreted: the smoke shape, the
declared workloads and the held-out ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from kopt.verifiers.contestant import Contestant
from kopt.verifiers.verify import Verified, verify
from kopt.verifiers.workbench import Workbench

MOST = 1 << 20
"""The elements of one call, inputs and outputs together, up to which it is interpreted."""
SECONDS = 30.0
"""What cases beyond the fewest may take: half of it the first workload's, half all others' together."""
FEWEST = 3
"""Cases of a workload however slow it is (a declared one, the mixture, a hidden one): being slow hides nothing."""
_NAMED = 4


def elements(bench: Workbench) -> int:
    """How many numbers of four bytes one call reads and writes."""
    return sum(place.nbytes // 4 for place in bench.layout.places)


def fits(bench: Workbench) -> bool:
    """Whether calls on it are interpreted."""
    return elements(bench) <= MOST


def share(number: int, count: int) -> float:
    """Seconds for workload ``number`` of ``count``: the first is the smallest, where much is seen for little."""
    if count == 1:
        return SECONDS
    return SECONDS / 2 / (count - 1 if number else 1)


def more(contestant: Contestant, first: float, seconds: float, into: Verified) -> None:
    """After a first case that took ``first`` seconds as many more as ``seconds`` pay for, or the fewest.

    Raises:
        Failure: the candidate is not right.
    """
    cases = contestant.bench.cases.some(max(FEWEST, int(seconds / first)))
    if len(cases.cases) > 1:
        verify(contestant, cases, into, skip=1)


def left_out(benches: Sequence[Workbench]) -> list[str]:
    """A note on workloads that are too large, if any: of held-out shapes their number and nothing else."""
    large = [bench for bench in benches if not fits(bench)]
    hidden = sum(bench.workload.held_out for bench in large)
    told = dict.fromkeys(
        f"{'the smoke shape' if bench.smoke else bench.name} ({elements(bench)} elements)"
        for bench in large
        if not bench.workload.held_out
    )
    parts = list(told)[:_NAMED]
    if len(told) > _NAMED:
        parts.append(f"{len(told) - _NAMED} more workloads")
    if hidden:
        parts.append(f"{hidden} held-out shape{'s' if hidden > 1 else ''}")
    if not parts:
        return []
    return [
        f"not verified, too large to interpret: {', '.join(parts)}: make the problem smaller with --set to have all of "
        "it verified"
    ]
