"""Plans and the registry of pattern modules.

A pattern module offers ``recognise(graph) -> Plan | None``: None when the graph is not its kind, a plan when it
is, and :class:`~kopt.agents.offline.graph.Unsupported` raised when it is but a kernel cannot be made (the reason
reaches the user through ``OfflineProposer.explain``).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from kopt.agents.offline.graph import Graph, NoLowering, Unsupported
from kopt.words import Candidate

PATTERNS = (
    "kopt.agents.offline.contraction",
    "kopt.agents.offline.attention",
    "kopt.agents.offline.pooling",
    "kopt.agents.offline.scan",
    "kopt.agents.offline.fused",
)
"""Pattern modules, most specific first."""


Made = TypeVar("Made")


class Plan(Protocol):
    """How one graph becomes kernels."""

    title: str
    """One line: what is fused with what."""
    reason: str
    """One line: why this should beat the reference."""

    def candidates(self) -> Iterable[Candidate]:
        """Kernels, best guess first; structural variants after it.

        Raises:
            Unsupported: after the last of them, where one more was thought of but cannot be made: why.
        """
        ...


def in_triton(make: Callable[[Made], Candidate], plan: Made) -> Candidate:
    """The Triton candidate that goes with a plan's C++ kernels.

    Raises:
        Unsupported: there is none; the reason says of which kernel it speaks.
    """
    if importlib.util.find_spec("triton") is None:
        raise Unsupported("no Triton kernel: Triton is not installed to check one; pip install 'kopt[gpu]'")
    try:
        return make(plan)
    except Unsupported as refusal:
        raise Unsupported(f"no Triton kernel: {refusal}") from None


def recognise(graph: Graph) -> tuple[list[Plan], list[str]]:
    """Ask every pattern module.

    Returns the plans, and why modules that know the graph made none: the most telling reason last, which is the most
    specific module's, but for an operation that nothing knows.
    """
    plans: list[Plan] = []
    refusals: list[Unsupported] = []
    for module in _modules():
        try:
            plan = module.recognise(graph)
        except Unsupported as refusal:
            refusals.insert(0, refusal)
            continue
        if plan is not None:
            plans.append(plan)
    refusals.sort(key=lambda refusal: not isinstance(refusal, NoLowering))
    return plans, list(dict.fromkeys(map(str, refusals)))


class _Pattern(Protocol):
    def recognise(self, graph: Graph) -> Plan | None: ...


def _modules() -> Iterator[_Pattern]:
    for name in PATTERNS:
        if importlib.util.find_spec(name) is not None:
            yield importlib.import_module(name)
