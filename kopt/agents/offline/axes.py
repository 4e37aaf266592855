"""Axes of iteration: which loop each tensor dimension belongs to.

Every dimension of every value is a row-major list of atomic axes. Reshapes split axes, broadcasting and pointwise
operations unify them, permutations reorder them; nothing else is recorded, so that ``view``, ``permute``,
``unsqueeze`` and ``expand`` cost no code and a group norm written by hand ends in the same loops as ``F.group_norm``.
(The idea is that of TVM's and tinygrad's symbolic shapes, kept to what loop generation needs.)

An extent is a tuple: the axis's size in each trace of the problem.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kopt.agents.offline.graph import Unsupported

Size = tuple[int, ...]


def times(sizes: Iterable[Size], traces: int) -> Size:
    """The product of sizes, trace by trace."""
    total = (1,) * traces
    for size in sizes:
        total = tuple(a * b for a, b in zip(total, size, strict=True))
    return total


def quotient(a: Size, b: Size) -> Size | None:
    """``a / b`` where it is whole in every trace."""
    if any(y == 0 or x % y for x, y in zip(a, b, strict=True)):
        return None
    return tuple(x // y for x, y in zip(a, b, strict=True))


_serial = itertools.count()


@dataclass(eq=False)
class Axis:
    """One atomic axis; may later turn out to be another one, or to consist of two."""

    extent: Size
    same: Axis | None = None
    parts: tuple[Axis, Axis] | None = None
    serial: int = field(default_factory=lambda: next(_serial))

    def atoms(self) -> list[Axis]:
        """What this axis consists of by now, outermost first."""
        if self.same is not None:
            return self.same.atoms()
        if self.parts is not None:
            return [*self.parts[0].atoms(), *self.parts[1].atoms()]
        return [self]


Dim = list[Axis]
"""One tensor dimension, outermost axis first; empty for a dimension of size 1."""


def atoms(dim: Sequence[Axis]) -> list[Axis]:
    """The axes of a dimension as they are by now."""
    return [a for axis in dim for a in axis.atoms()]


def extent(dim: Sequence[Axis], traces: int) -> Size:
    """The size of a dimension."""
    return times((a.extent for a in atoms(dim)), traces)


def split(axis: Axis, outer: Size) -> None:
    """Split an axis in two, the outer one of the given size."""
    inner = quotient(axis.extent, outer)
    if inner is None or axis.same is not None or axis.parts is not None:
        raise Unsupported(f"a reshape cuts an axis of {axis.extent[0]} into pieces of {outer[0]}")
    axis.parts = (Axis(outer), Axis(inner))


class Spaces:
    """Remembers which axes occur together, so that two of one value are never taken for the same."""

    def __init__(self, traces: int) -> None:
        self.traces = traces
        self._together: list[list[Dim]] = []

    def note(self, dims: Sequence[Dim]) -> None:
        """Remember a value's dimensions.

        Raises:
            Unsupported: one axis occurs in two of them.
        """
        held = [list(d) for d in dims]
        flat = [a for d in held for a in atoms(d)]
        if len({a.serial for a in flat}) != len(flat):
            raise Unsupported(
                "one axis would index two dimensions (a tensor combined with its own transpose)"
            )
        self._together.append(held)

    def unify(self, a: Dim, b: Dim) -> None:
        """Make two dimensions of equal size the same axes.

        Raises:
            Unsupported: their factors do not fit, or one value already uses both as different axes.
        """
        left, right = atoms(a), atoms(b)
        while left and right:
            x, y = left[0], right[0]
            if x is y:
                pass
            elif x.extent == y.extent:
                self._unify_atoms(x, y)
            elif all(m >= n for m, n in zip(x.extent, y.extent, strict=True)):
                split(x, y.extent)
                left = atoms(left)
                continue
            else:
                split(y, x.extent)
                right = atoms(right)
                continue
            left, right = left[1:], right[1:]
        if left or right:
            raise Unsupported("two operands' sizes do not fit each other")

    def _unify_atoms(self, x: Axis, y: Axis) -> None:
        for dims in self._together:
            flat = [a for d in dims for a in atoms(d)]
            if x in flat and y in flat:
                raise Unsupported(
                    "one axis would index two dimensions (a tensor combined with its own transpose)"
                )
        y.same = x

    def fresh(self, size: Size) -> Dim:
        """A new dimension."""
        return [] if all(n == 1 for n in size) else [Axis(size)]

    def regroup(self, dims: Sequence[Dim], shape: Sequence[Size]) -> list[Dim]:
        """The dimensions of a reshape: the same axes in row-major order, grouped (and split) differently."""
        rest = [a for d in dims for a in atoms(d)]
        result: list[Dim] = []
        one = (1,) * self.traces
        for size in shape:
            dim: Dim = []
            missing = size
            while missing != one:
                if not rest:
                    raise Unsupported("a reshape asks for more elements than there are")
                axis = rest.pop(0)
                if quotient(missing, axis.extent) is None:
                    split(axis, missing)
                    first, second = axis.atoms()
                    rest.insert(0, second)
                    axis = first
                dim.append(axis)
                missing = quotient(missing, axis.extent) or one
            result.append(dim)
        if rest:
            raise Unsupported("a reshape drops elements")
        return result
