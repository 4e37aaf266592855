"""Wrong answers made from bytes: what a lazy or cheating candidate would put into its outputs.

Each mutant fills one output of a case; the case's other outputs are right. Nothing is run here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kopt.verifiers.cases import Case
from kopt.verifiers.dtypes import KINDS, Array
from kopt.verifiers.layout import Bytes, Layout, Place

Make = Callable[[Sequence[Case], int, Layout, int], Array | None]
_SHARE = 16


@dataclass(frozen=True)
class Mutant:
    """A name, what it means when the judge lets it pass, what to do then, and its output.

    ``make(cases, number, layout, output)`` gives the stored elements of that output of case ``number``, or
    None where the mutant makes no sense.
    """

    name: str
    why: str
    hint: str
    make: Make


def store(values: Array, dtype: str) -> Array:
    """Numbers as stored elements of a torch type."""
    if dtype == "bfloat16":
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(KINDS[dtype].storage)


def right(case: Case, output: int) -> Array:
    """The right answer of a case, rounded to the output's type."""
    expected = case.expected[output]
    return store(expected.truth, expected.dtype)


def in_order(place: Place, elements: Array) -> Array:
    """Stored elements of a place, seen in the tensor's own axes (a view where the place is dense)."""
    if not place.dense:
        return elements.reshape(place.spec.shape)
    strides = [s * elements.itemsize for s in place.spec.strides]
    return np.lib.stride_tricks.as_strided(elements, place.spec.shape, strides)


def _constant(value: float) -> Make:
    def make(cases: Sequence[Case], number: int, layout: Layout, output: int) -> Array:
        expected = cases[number].expected[output]
        return store(np.full(expected.truth.size, value), expected.dtype)

    return make


def _mean(cases: Sequence[Case], number: int, layout: Layout, output: int) -> Array | None:
    expected = cases[0].expected[output]
    if not KINDS[expected.dtype].floating or not expected.truth.size:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.full(expected.truth.size, expected.truth.mean(dtype=np.float64))
    return store(mean, expected.dtype)


def _other(cases: Sequence[Case], number: int, layout: Layout, output: int) -> Array | None:
    """The answer to the first case, whatever is asked; the first case gets the second's."""
    return right(cases[1 if number == 0 else 0], output) if len(cases) > 1 else None


def _cached(cases: Sequence[Case], number: int, layout: Layout, output: int) -> Array | None:
    return right(cases[number - 1], output) if len(cases) > 1 else None


def _partial(axis: int) -> Make:
    def make(cases: Sequence[Case], number: int, layout: Layout, output: int) -> Array | None:
        place = layout.role("output")[output]
        shape = place.spec.shape
        if len(shape) < (1 if axis else 2) or shape[axis] < 2:
            return None
        elements = right(cases[number], output).copy()
        left_out = max(1, shape[axis] // _SHARE)
        view = np.moveaxis(in_order(place, elements), axis, 0)
        view[-left_out:] = 0
        return elements if place.dense else np.ascontiguousarray(np.moveaxis(view, 0, axis)).reshape(-1)

    return make


def _identity(number_of_input: int) -> Make:
    def make(cases: Sequence[Case], number: int, layout: Layout, output: int) -> Array | None:
        source = layout.role("input")[number_of_input]
        target = layout.role("output")[output]
        if source.spec.shape != target.spec.shape or source.spec.dtype != target.spec.dtype:
            return None
        content: Bytes = cases[number].inputs[number_of_input]
        stored = content.view(KINDS[source.spec.dtype].storage)
        if source.spec.strides == target.spec.strides and source.dense:
            return stored
        answer = np.empty(math.prod(target.spec.shape), stored.dtype)
        in_order(target, answer)[...] = source.view(content)
        return answer

    return make


def byte_mutants(layout: Layout) -> list[Mutant]:
    """Every wrong answer that can be made from inputs and right answers alone."""
    depends = (
        "the output hardly depends on the inputs: draw inputs whose values reach it, or return more of it"
    )
    found = [
        Mutant(
            "zeros",
            "an output of zeros passes",
            "make the answer differ from zero: other inputs, or no atol",
            _constant(0),
        ),
        Mutant(
            "ones", "an output of ones passes", "make the answer differ from one: other inputs", _constant(1)
        ),
        Mutant("mean", "one constant, the mean answer, passes everywhere", depends, _mean),
        Mutant("constant", "the answer to other inputs passes", depends, _other),
        Mutant("cached", "the answer to the previous call passes", depends, _cached),
        Mutant(
            "partial rows",
            f"leaving the last 1/{_SHARE} of the first axis at zero passes",
            "the end of the first axis is (almost) zero: draw inputs for which it is not",
            _partial(0),
        ),
        Mutant(
            "partial columns",
            f"leaving the last 1/{_SHARE} of the last axis at zero passes",
            "the end of the last axis is (almost) zero: draw inputs for which it is not",
            _partial(-1),
        ),
    ]
    for number, place in enumerate(layout.role("input")):
        if any(place.spec.shape == o.spec.shape for o in layout.role("output")):
            hint = "draw inputs which the operation changes, torch.randn instead of torch.rand for one"
            why = f"returning {place.spec.name} unchanged passes"
            found.append(Mutant(f"identity of {place.spec.name}", why, hint, _identity(number)))
    return found
