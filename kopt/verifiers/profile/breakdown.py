"""The reference, operator by operator, in a process of its own; and how it uses the machine as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kopt.verifiers import policy
from kopt.verifiers.cases import draw_seed
from kopt.verifiers.layout import Layout
from kopt.verifiers.profile.activity import Activity, watch
from kopt.verifiers.reference import Reference
from kopt.words import OperatorTime

if TYPE_CHECKING:
    from kopt.verifiers.evaluator import Evaluator
    from kopt.verifiers.workbench import Workbench

MOST_OPERATORS = 24
_SECONDS = 0.5
_DISPATCH = 1e-3


@dataclass(frozen=True)
class Breakdown:
    """A reference's operators, most expensive first; what calling any operator takes; how it worked, if watched."""

    operators: tuple[OperatorTime, ...]
    dispatch: float
    activity: Activity | None = None


def of_reference(evaluator: Evaluator, bench: Workbench, *, watched: bool) -> Breakdown:
    """Ask a fresh runner of the reference; with ``watched`` it is timed on the whole ring as well.

    Raises:
        ProblemError: it stopped working.
    """
    reference = Reference(evaluator.problem, evaluator.sandbox)
    try:
        reference.select(bench.workload, bench.seed, bench.smoke)
        slots = bench.layout.slots if watched else min(2, bench.layout.slots)
        reference.attach(Layout(slots, bench.layout.stride, bench.layout.places))
        reference.generate(list(range(slots)), [draw_seed() for _ in range(slots)])
        activity = watch(reference.runner.pid, slots, reference.round) if watched else None
        reply = reference.ask("breakdown", {"slot": 0, "seconds": _SECONDS})
    finally:
        reference.close()
    return Breakdown(read(reply), dispatch(reply), activity)


def read(reply: Mapping[str, Any]) -> tuple[OperatorTime, ...]:
    """What a runner listed, as far as it has the form it must have."""
    given = reply.get("seconds")
    seconds = given if isinstance(given, dict) else {}
    found = [(use, _bounded(seconds.get(use.name))) for _, use in policy.operators(reply)]
    total = sum(spent for _, spent in found)
    told = [
        OperatorTime(
            name=use.name,
            calls=use.calls,
            bytes=use.bytes,
            flops=use.flops,
            seconds=spent,
            share=round(spent / total, 4) if total else 0.0,
        )
        for use, spent in found
    ]
    return tuple(sorted(told, key=lambda one: (-one.seconds, one.name))[:MOST_OPERATORS])


def dispatch(reply: Mapping[str, Any]) -> float:
    """Seconds the smallest operator takes."""
    return min(_bounded(reply.get("dispatch")), _DISPATCH)


def _bounded(value: Any) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return min(max(float(value), 0.0), 1e5) if number else 0.0
