"""The factors of a matrix product as they lie in memory: a pointer per batch index and two strides."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kopt.agents.offline.axes import Size
from kopt.agents.offline.epilogue import Prologue
from kopt.agents.offline.graph import Graph, Ref, Unsupported

FLOATS = frozenset({"float32", "float64", "float16", "bfloat16"})


@dataclass(frozen=True)
class Factor:
    """Strides of an operand along its batch dimensions, along the result's rows (or columns), and along k."""

    parameter: str
    offset: Size
    batch: tuple[Size, ...]
    along: Size
    depth: Size


def name_of(argument: object) -> str:
    """The value an argument refers to."""
    if not isinstance(argument, Ref):
        raise Unsupported("a matrix product with a literal")
    return argument.name


def factor(graph: Graph, name: str, rank: int, *, depth: int) -> Factor:
    """Describe an operand, seen through views, for a result of the given rank.

    Args:
        graph: the graph.
        name: the operand.
        rank: the result's rank; missing batch dimensions repeat.
        depth: which of the operand's last two dimensions is k: -1 or -2.

    Raises:
        Unsupported: the operand is computed, or not evenly spaced along a dimension.
    """
    before = Prologue(graph, name)
    if not before.plain or len(before.leaves) != 1:
        raise Unsupported(f"{name}, a factor of the product, is computed first; only what follows is fused")
    leaf = next(iter(before.leaves.values()))
    if leaf.counted or leaf.dtype not in FLOATS:
        raise Unsupported(f"a matrix product of {leaf.dtype} is not generated")
    strides = before.strides(leaf)
    zero = (0,) * before.lowered.traces
    batch = [zero] * (rank - len(strides)) + strides[:-2]
    return Factor(leaf.tensor, leaf.offset, tuple(batch), strides[-3 - depth], strides[depth])


def computed(graph: Graph, name: str) -> Prologue | None:
    """A factor that is computed from inputs, element by element (weights that are unpacked and scaled), if it is.

    Raises:
        Unsupported: it is, but has more dimensions than two, or is more than pointwise work.
    """
    before = Prologue(graph, name)
    if before.plain and len(before.leaves) == 1:
        return None
    if len(before.dims) != 2:
        raise Unsupported(
            f"{name}, a factor of a batched product, is computed first; only what follows is fused"
        )
    return before


def fold(a: Factor, batch: Sequence[Size], rows: Size) -> tuple[Factor, Size]:
    """Join the batch dimensions of ``a`` to its rows.

    Raises:
        Unsupported: the rows are not evenly spaced across the batch.
    """
    step, count = a.along, rows
    for stride, extent in reversed(list(zip(a.batch, batch, strict=True))):
        if stride != product([step, count]) and set(extent) != {1}:
            raise Unsupported(f"rows of {a.parameter} are not evenly spaced in memory")
        count = product([count, extent])
    return dataclasses.replace(a, batch=()), count


def product(sizes: Sequence[Size]) -> Size:
    """The product of sizes, trace by trace."""
    return tuple(math.prod(per_trace) for per_trace in zip(*sizes, strict=True))


def pointer(held: Factor, batch: Sequence[Size], size: Callable[[Size], str], *, divide: str = "/") -> str:
    """Text of an operand's address for the variable ``batch``.

    Args:
        held: the operand.
        batch: the batch's dimensions.
        size: writes a size.
        divide: the operator of whole division.
    """
    terms = [f"{held.parameter}_p"]
    if any(held.offset):
        terms.append(size(held.offset))
    if held.batch and [*held.batch] == _even(held.batch, batch):
        step = [f"batch * ({size(held.batch[-1])})"] if any(held.batch[-1]) else []
        return " + ".join([*terms, *step])
    inner = (1,) * len(held.along)
    for stride, extent in reversed(list(zip(held.batch, batch, strict=True))):
        if any(stride):
            at = "batch" if set(inner) == {1} else f"batch {divide} ({size(inner)})"
            terms.append(f"({at}) % ({size(extent)}) * ({size(stride)})")
        inner = product([inner, extent])
    return " + ".join(terms)


def _even(strides: Sequence[Size], batch: Sequence[Size]) -> list[Size]:
    """What the strides would be if the batch dimensions were one evenly spaced run."""
    found = [strides[-1]] if strides else []
    for extent in reversed(batch[1:]):
        found.insert(0, product([found[0], extent]))
    return found
