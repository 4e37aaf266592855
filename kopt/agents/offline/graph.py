"""The graph words: what a reference computes, as tensors and ATen operations.

Made by :mod:`kopt.agents.offline.reading` from the JSON that the tracer writes inside the sandbox.

Several traces of one problem, at different sizes, merge into one graph whose shapes know which dimensions vary:
``Value.shape`` is the first trace's, ``Value.shapes`` has all, and :meth:`Graph.size` renders a size that may
vary as a C++ expression over the argument tensors.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any


class GraphError(ValueError):
    """A trace that does not fit the schema, or traces that do not fit each other."""


UNFIT = (TypeError, LookupError, AttributeError, ValueError, ArithmeticError, AssertionError)
"""What the arguments of an operation may cause that are not as its ATen schema says: no honest trace has such."""


class Unsupported(Exception):
    """A graph that a generator recognises but cannot turn into a kernel; the message says why, in one line."""


class NoLowering(Unsupported):
    """An operation that nothing here knows. Where a pattern has a reason of its own, that one tells more."""


@dataclass(frozen=True)
class Ref:
    """A reference to a value of the graph by name."""

    name: str


@dataclass(frozen=True)
class Value:
    """A tensor: shape, dtype (torch's name without prefix) and strides in elements."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    strides: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...] = ()

    @property
    def numel(self) -> int:
        """Number of elements (of the first trace)."""
        return math.prod(self.shape)

    @property
    def contiguous(self) -> bool:
        """Whether the layout is plain row-major; dimensions of size 1 do not matter."""
        return strides_match(self.shape, self.strides, row_major(self.shape))

    def extents(self, dim: int) -> tuple[int, ...]:
        """The size of one dimension in every trace."""
        return tuple(shape[dim] for shape in self.shapes)


@dataclass(frozen=True)
class Node:
    """One operation. ``args`` has every formal argument of its schema, defaults included; tensors are Ref.

    ``varying`` has the arguments that are another number in another trace (a batch size that a sum is divided by),
    each in every trace; ``args`` has the first trace's.
    """

    name: str
    op: str
    args: Mapping[str, Any]
    varying: Mapping[str, tuple[float | int | bool, ...]] = field(default_factory=dict)

    def refs(self) -> tuple[str, ...]:
        """Names of the values this node reads."""
        return tuple(_refs(list(self.args.values())))


@dataclass(frozen=True)
class Graph:
    """Inputs, state, constants, operations in order, outputs: everything by name.

    ``inputs`` are the tensor arguments in call order and ``state`` the state tensors in the problem's order;
    those are also the C++ parameter names, followed by ``output_names``.
    """

    values: Mapping[str, Value]
    inputs: tuple[str, ...]
    state: tuple[str, ...]
    constants: Mapping[str, tuple[float | int | bool, ...]]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    how: str = "export"
    labels: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Sizes that a kernel has given C++ names of its own, in every trace: what it computes and no argument has."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of a destination kernel's parameters, in order."""
        return (*self.inputs, *self.state, *self.output_names)

    @property
    def output_names(self) -> tuple[str, ...]:
        """C++ names of the destination tensors."""
        return tuple(f"out{i}" for i in range(len(self.outputs))) if len(self.outputs) > 1 else ("out",)

    @property
    def dynamic(self) -> bool:
        """Whether any shape differs between the traces."""
        return any(len(set(v.shapes)) > 1 for v in self.values.values())

    def node(self, name: str) -> Node | None:
        """The operation that makes ``name``; None for inputs, state and constants."""
        return next((n for n in self.nodes if n.name == name), None)

    def users(self, name: str) -> tuple[Node, ...]:
        """The operations that read ``name``."""
        return tuple(n for n in self.nodes if name in n.refs())

    def live(self) -> tuple[Node, ...]:
        """The operations the outputs depend on, in order (updates of running statistics fall away)."""
        makers = {n.name: n for n in self.nodes}
        wanted: set[str] = set()
        stack = list(self.outputs)
        while stack:
            name = stack.pop()
            if name not in wanted:
                wanted.add(name)
                if name in makers:
                    stack.extend(makers[name].refs())
        return tuple(n for n in self.nodes if n.name in wanted)

    def size(self, extents: Sequence[int]) -> str:
        """Render a size, given in every trace, as C++: a literal, or an expression over the arguments' sizes.

        Raises:
            Unsupported: the size varies and is no product or quotient of a few known sizes and a constant.
        """
        if len(set(extents)) == 1:
            return str(extents[0])
        known = [*self.sizes.items()] + [
            (f"{name}.size({dim})", self.values[name].extents(dim))
            for name in (*self.inputs, *self.state)
            if name in self.values
            for dim in range(len(self.values[name].shape))
        ]
        known = [(text, sizes) for text, sizes in known if len(set(sizes)) > 1 and min(sizes) > 0]
        products = [
            (
                " * ".join(text for text, _ in chosen),
                tuple(math.prod(n) for n in zip(*(n for _, n in chosen), strict=True)),
            )
            for many in (1, 2, 3)
            for chosen in itertools.combinations(known[:16], many)
        ]
        for (
            text,
            sizes,
        ) in products:  # the size itself before any multiple of another, which may be a coincidence
            if sizes == tuple(extents):
                return text
        for text, sizes in products:
            ratios = {Fraction(e, n) for e, n in zip(extents, sizes, strict=True)}
            if len(ratios) == 1:
                ratio = ratios.pop()
                if ratio.denominator == 1:
                    return f"{text} * {ratio.numerator}"
                if ratio.numerator == 1:
                    return f"{text} / {ratio.denominator}"
        raise Unsupported(
            f"a size that varies ({', '.join(map(str, extents))}) is no product of argument sizes"
        )


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a contiguous tensor, in elements."""
    strides: list[int] = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def strides_match(shape: Sequence[int], a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether two stride tuples address the same elements; strides of dimensions of size 1 do not matter."""
    return all(x == y or n <= 1 for n, x, y in zip(shape, a, b, strict=True))


def _refs(items: Sequence[Any]) -> Iterator[str]:
    for item in items:
        if isinstance(item, Ref):
            yield item.name
        elif isinstance(item, tuple):
            yield from _refs(item)
