"""A problem with other values for its inputs: a small change of what it declares, within what it declares.

Only what is certain to stay legal can be changed: floating-point inputs of kopt's own format that are declared normal,
which says that they may be anything, or between two bounds, which then hold for the new values as well. Kinds whose
values mean more than their range (labels, probabilities, permutations, lengths) stay as they are. Nothing is executed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from kopt.errors import ProblemError
from kopt.problems.declared import Declared, declaration_of
from kopt.problems.distributions import KINDS
from kopt.problems.overrides import apply_overrides
from kopt.words import Problem

BOUNDED = ("uniform", "log_uniform", "sorted")
MOST = {"float64": 1e4, "float32": 1e4, "bfloat16": 64.0, "float16": 64.0}
"""Magnitudes up to which an input that is declared normal may go: those of the judge's own hidden distributions."""


@dataclasses.dataclass(frozen=True)
class Redrawn:
    """Another distribution for one input: mean and standard deviation where normal, else lowest and highest."""

    name: str
    kind: str
    first: float
    second: float


def redraw(problem: Problem, changes: Sequence[Redrawn]) -> Problem | None:
    """The problem with these inputs drawn otherwise; None where no change is one that may be made."""
    if problem.format != "kopt":
        return None
    text = problem.sources[problem.entry]
    try:
        declared = declaration_of(text, problem.entry).inputs
    except (ProblemError, SyntaxError):
        return None
    legal = {one.name: values for one in changes if (values := _values(declared.get(one.name), one))}
    if not legal:
        return None
    inputs = {name: _written(item, legal.get(name)) for name, item in declared.items()}
    changed = apply_overrides(text, {"inputs": inputs}, path=problem.entry, axes=False)
    return dataclasses.replace(problem, sources={**problem.sources, problem.entry: changed})


def _values(declared: Declared | None, change: Redrawn) -> dict[str, Any] | None:
    """The new distribution as it is written; None where it is not within the declared one."""
    if declared is None or declared.shape is None or declared.dtype not in MOST:
        return None
    first, second, most = change.first, change.second, MOST[declared.dtype]
    if not (math.isfinite(first) and math.isfinite(second)):
        return None
    kind = str(declared.values.get("kind", ""))
    if kind == "normal":
        low, high = -most, most
    elif kind in BOUNDED:
        given = {**(KINDS[kind].__kwdefaults__ or {}), **declared.values}
        low, high = given["low"], given["high"]
        if not all(isinstance(bound, int | float) for bound in (low, high)):
            return None
    else:
        return None
    if change.kind == "normal":
        fits = kind == "normal" and abs(first) <= most and 0 < second <= most
        return {"kind": "normal", "mean": first, "std": second} if fits else None
    fits = change.kind in BOUNDED and low <= first < second <= high
    if not fits or (change.kind == "log_uniform" and first <= 0):
        return None
    return {"kind": change.kind, "low": first, "high": second}


def _written(item: Declared, values: Mapping[str, Any] | None) -> Any:
    if item.shape is None:
        return item.value
    return {"shape": list(item.shape), "dtype": item.dtype, "values": dict(values or item.values)}
