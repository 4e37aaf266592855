"""What a reference's runner says of its problem, checked before memory is laid out or anything is computed from it.

A reference decides what is computed; that it is loaded beside code nobody trusts means its process may say anything.
So a claim that does not fit the words, or this machine's memory, is the problem's error and never the judge's.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import ValidationError

from kopt.errors import ProblemError
from kopt.verifiers.dtypes import KINDS, itemsize
from kopt.verifiers.layout import extent
from kopt.words import Problem, TensorSpec, Workload, WorkloadSpec, from_json

MOST_WORKLOADS = 256
MOST_TENSORS = 16384
MOST_AXES = 32
MOST_NAME = 512
_MOST_ELEMENTS = 1 << 48
Word = TypeVar("Word")


def _bad(problem: Problem, what: str) -> ProblemError:
    return ProblemError(f"{what}: run the file by itself and mend it", path=problem.path or problem.name)


def _read(kind: type[Word], value: Any, problem: Problem) -> Word:
    try:
        return from_json(kind, value)
    except (ValidationError, RecursionError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else "nested too deeply"
        raise _bad(
            problem, f"the reference describes itself in a way that cannot be read ({first[:80]})"
        ) from None


def workloads(found: Any, problem: Problem) -> tuple[Workload, ...]:
    """The workloads a problem declares.

    Raises:
        ProblemError: there are none, or they cannot be read or told apart.
    """
    if not isinstance(found, list) or not found:
        raise ProblemError("declares no workload", path=problem.path or problem.name)
    read = tuple(_read(Workload, item, problem) for item in found[:MOST_WORKLOADS])
    names = {workload.name for workload in read}
    if len(names) < len(read) or any(not name or len(name) > MOST_NAME or "\n" in name for name in names):
        raise _bad(problem, "its workloads have no names, or the same ones")
    return read


def spec(found: Any, workload: Workload, problem: Problem) -> WorkloadSpec:
    """One workload as the reference describes it.

    Raises:
        ProblemError: it cannot be read, is not a layout of tensors, or does not fit this machine's memory.
    """
    read = replace(_read(WorkloadSpec, found, problem), workload=workload)
    if not (math.isfinite(read.flops) and read.flops >= 0 <= read.bytes_required):
        raise _bad(problem, "the reference claims work that is no number")
    tensors = (*read.tensors, *read.state, *read.outputs)
    if not read.outputs or len(tensors) > MOST_TENSORS:
        raise _bad(problem, f"the reference describes {len(read.outputs)} outputs and {len(tensors)} tensors")
    for tensor in tensors:
        _check(tensor, problem)
    # Two slots at least, for the reference and for a candidate.
    needed = 4 * _bytes((*read.tensors, *read.outputs)) + _bytes(read.state)
    if needed > machine_memory():
        raise ProblemError(
            f"judging it takes at least {needed >> 20} MiB and this machine has {machine_memory() >> 20}: "
            "use smaller sizes, with --set",
            path=problem.path or problem.name,
        )
    return read


def _check(tensor: TensorSpec, problem: Problem) -> None:
    shape, strides = tensor.shape, tensor.strides
    sound = (
        len(shape) == len(strides) <= MOST_AXES
        and len(tensor.name) <= MOST_NAME
        and min((*shape, *strides), default=0) >= 0
        and max((*shape, *strides), default=0) < _MOST_ELEMENTS
        and extent(shape, strides) < _MOST_ELEMENTS
    )
    if not sound:
        raise _bad(problem, f"the reference describes {tensor.name[:80]!r} as no layout of a tensor")


def _bytes(tensors: Sequence[TensorSpec]) -> int:
    """What these take in a ring, or spelled out where elements share memory."""
    total = 0
    for tensor in tensors:
        size = itemsize(tensor.dtype) if tensor.dtype in KINDS else 8
        total += size * max(extent(tensor.shape, tensor.strides), math.prod(tensor.shape))
    return total


def machine_memory() -> int:
    """Bytes of memory this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def pieces(survey: Mapping[str, Any]) -> tuple[list[tuple[int, int, str]], list[str], dict[str, str]]:
    """Operations (call, operand, name), state and neutral state of a survey (``kopt.problems.mutating``).

    What does not read like one is left out.
    """

    def listed(name: str, kind: Callable[[Any], bool]) -> list[Any]:
        items = survey.get(name)
        return [item for item in items if kind(item)][:MOST_WORKLOADS] if isinstance(items, list) else []

    def operation(item: Any) -> bool:
        return isinstance(item, list) and [type(part) for part in item] == [int, int, str]

    neutral = survey.get("neutral")
    return (
        [(call, operand, name[:80]) for call, operand, name in listed("operations", operation)],
        [name for name in listed("state", lambda item: isinstance(item, str)) if len(name) <= MOST_NAME],
        {name[:80]: str(value)[:20] for name, value in list(neutral.items())[:MOST_WORKLOADS]}
        if isinstance(neutral, dict)
        else {},
    )
