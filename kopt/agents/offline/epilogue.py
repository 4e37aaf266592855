"""What happens to a kernel's result on its way to memory: the pointwise tail of a graph, one output row at a time.

A contraction, pooling or scan leaves W neighbouring results in a register; :class:`Epilogue` writes what is stored
instead of them. :class:`Prologue` is its mirror image: what a kernel computes where it would have loaded an input.
Other tensors that take part (bias, residual, mask) broadcast: each is a set of strides, 0 where it repeats.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kopt.agents.offline import expr as expressions
from kopt.agents.offline.axes import Axis, Size, times
from kopt.agents.offline.cppfile import real_type
from kopt.agents.offline.expr import Expr
from kopt.agents.offline.graph import Graph, Unsupported
from kopt.agents.offline.lower import Leaf, Lowered, Output, lower

LANES = 16
"""The widest register, in float32 elements: rows at least this long need no partial registers."""


@dataclass
class Row:
    """C++ over one row: statements before the loop, statements for the register at ``j``, and its result."""

    hoisted: list[str]
    body: list[str]
    result: str


class Rows:
    """An expression over a lowered graph's leaves, written along rows of one value.

    ``dims`` are that value's dimensions as axes; kernels merge those they walk with one index (:meth:`merge`).
    """

    prefix = "t"

    def __init__(self, lowered: Lowered, root: Expr, dims: Sequence[Sequence[Axis]]) -> None:
        self.lowered, self.root = lowered, root
        self.graph = lowered.graph
        self.real = real_type(lowered.graph)
        self.dims = [list(d) for d in dims]
        self.leaves = {
            e.name: lowered.leaves[e.name] for e in expressions.leaves(root) if e.name in lowered.leaves
        }
        axes = {a for dim in self.dims for a in dim}
        if any(leaf.pick or not {a for a, _ in leaf.strides()} <= axes for leaf in self.leaves.values()):
            raise Unsupported("a tensor is indexed by data or has axes of its own")
        if any(leaf.tensor in self.graph.constants for leaf in self.leaves.values()):
            raise Unsupported("a constant tensor takes part, which only fused loops write into the kernel")

    def merge(self, *counts: int) -> None:
        """Walk runs of dimensions with one index each: ``merge(2, 1)`` makes two dimensions of three."""
        rest = iter(self.dims)
        self.dims = [[a for _ in range(n) for a in next(rest)] for n in counts]

    @property
    def helpers(self) -> set[str]:
        """Prelude pieces the expression calls."""
        called = expressions.emit([self.root], lambda leaf: "x", real=self.real).helpers
        counts = any(leaf.counted for leaf in self.leaves.values())
        return called | {"get", "partial"} | ({"ints"} if counts else set())

    @property
    def parameters(self) -> set[str]:
        """Parameters the expression reads."""
        return {leaf.tensor for leaf in self.leaves.values() if leaf.tensor}

    def row(self, index: Sequence[str], *, count: str = "", known: Mapping[str, str] | None = None) -> Row:
        """Write the expression for the register of elements ``j .. j + W - 1`` of one row.

        Args:
            index: C++ text of all indices but the last.
            count: C++ text of how many of the W elements exist; empty when all do.
            known: C++ text of leaves that are values already.
        """
        known = dict(known or {})
        mark = (
            "" if self.prefix == "t" else f"{self.prefix}_"
        )  # what stands beside another expression differs in name
        hoisted: list[str] = []
        for name, leaf in self.leaves.items():
            if name in known:
                continue
            if not leaf.tensor and not leaf.counted:
                known[name] = f"splat(real({name.partition(':')[2]}))"
                continue
            base, inner = self.address(leaf, index)
            spread = "splat_ints" if leaf.integer else "splat"
            if leaf.counted:
                first = " + ".join(base) or "0"
                if inner == 0:
                    number = f"int32_t({first})" if leaf.integer else f"real({first})"
                    hoisted.append(f"const auto {mark}{name}_v = {spread}({number});")
                    known[name] = f"{mark}{name}_v"
                else:
                    lanes = f"counted({first} + j * {inner}, {inner})"
                    known[name] = lanes if leaf.integer else f"number({lanes})"
                continue
            at = " + ".join([f"{leaf.tensor}_p", *base])
            if inner == 0:
                number = f"int32_t(*({at}))" if leaf.integer else f"get({at})"
                hoisted.append(f"const auto {mark}{name}_v = {spread}({number});")
                known[name] = f"{mark}{name}_v"
            elif inner == 1:
                hoisted.append(f"const auto* const {mark}{name}_row = {at};")
                load = "load_ints" if leaf.integer else "load"
                known[name] = (
                    f"{load}_part({mark}{name}_row + j, {count})"
                    if count
                    else f"{load}({mark}{name}_row + j)"
                )
            else:
                raise Unsupported(f"{leaf.tensor} is read with a stride along rows of the result")
        emitted = expressions.emit(
            [self.root], lambda leaf: known[leaf.name], real=self.real, prefix=self.prefix
        )
        return Row(hoisted, emitted.lines, emitted.results[0])

    def address(self, place: Leaf | Output, index: Sequence[str]) -> tuple[list[str], int]:
        """Terms of a row's address and the stride along the row."""
        strides = dict(place.strides())
        terms = []
        if isinstance(place, Leaf) and any(place.offset):
            terms.append(self.graph.size(place.offset))
        for text, stride in self._steps(self.dims[:-1], index, strides, self._atom, "/"):
            size = self._atom(stride)
            terms.append(text if size == "1" else f"{text} * {size}")
        inner = self._collapsed(self.dims[-1], strides)
        if inner is None or len(set(inner)) > 1:
            raise Unsupported("a row of the result is split into several axes afterwards")
        return terms, inner[0]

    def steps(
        self, place: Leaf | Output, index: Sequence[str], size: Callable[[Size], str], divide: str
    ) -> list[tuple[str, Size]]:
        """What is added to a tensor's address: indices, one per dimension or per axis of it, each with its stride.

        Args:
            place: the tensor.
            index: text of the index along each dimension.
            size: writes a size.
            divide: the operator of whole division.
        """
        return list(self._steps(self.dims, index, dict(place.strides()), size, divide))

    def _steps(
        self,
        dims: Sequence[Sequence[Axis]],
        index: Sequence[str],
        strides: dict[Axis, Size],
        size: Callable[[Size], str],
        divide: str,
    ) -> Iterator[tuple[str, Size]]:
        for dim, at in zip(dims, index, strict=True):
            single = self._collapsed(dim, strides)
            steps = [(at, single)] if single is not None else self._decomposed(dim, at, strides, size, divide)
            for text, stride in steps:
                if any(stride):
                    yield text, stride

    def strides(self, leaf: Leaf) -> list[Size]:
        """A leaf's stride along each dimension.

        Raises:
            Unsupported: a dimension consists of axes that are not evenly spaced.
        """
        held = dict(leaf.strides())
        found = [self._collapsed(dim, held) for dim in self.dims]
        if any(stride is None for stride in found):
            raise Unsupported(f"{leaf.tensor} is not evenly spaced along a dimension")
        return [stride for stride in found if stride is not None]

    def _atom(self, size: Size) -> str:
        text = self.graph.size(size)
        return text if text.isidentifier() or text.isdigit() else f"({text})"

    def _collapsed(self, dim: Sequence[Axis], strides: dict[Axis, Size]) -> Size | None:
        """The one stride of a dimension of several axes, if it has one."""
        zero = (0,) * self.lowered.traces
        if not dim:
            return zero
        expected = strides.get(dim[-1], zero)
        first = expected
        for axis in reversed(dim):
            if strides.get(axis, zero) != expected:
                return None
            expected = tuple(s * n for s, n in zip(expected, axis.extent, strict=True))
        return first

    def _decomposed(
        self,
        dim: Sequence[Axis],
        at: str,
        strides: dict[Axis, Size],
        written: Callable[[Size], str],
        divide: str,
    ) -> list[tuple[str, Size]]:
        """The index of each axis of a dimension, by division and remainder."""
        zero = (0,) * self.lowered.traces
        inner = (1,) * self.lowered.traces
        steps = []
        for position, axis in reversed(list(enumerate(dim))):
            text = at if set(inner) == {1} else f"{at} {divide} {written(inner)}"
            if position:
                text = f"{text} % {written(axis.extent)}"
            steps.append((f"({text})", strides.get(axis, zero)))
            inner = tuple(a * b for a, b in zip(inner, axis.extent, strict=True))
        return steps


class Epilogue(Rows):
    """The pointwise tail behind one value of a graph, up to its only output.

    Raises:
        Unsupported: what follows the value is more than pointwise, or changes its shape.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        lowered = lower(graph, foreign={name})
        if lowered.reductions:
            raise Unsupported(f"{name} is reduced afterwards; only pointwise operations are fused behind it")
        if len(lowered.outputs) != 1:
            raise Unsupported(f"{name} leads to {len(lowered.outputs)} outputs")
        self.name = name
        self.output = lowered.outputs[0]
        root = self.output.expr
        loads = [e.name for e in expressions.leaves(root)]
        if [n for n in loads if lowered.leaves[n].tensor == name] != [name]:
            raise Unsupported(f"{name} is sliced or read at several places afterwards")
        super().__init__(lowered, root, dimensions(graph, lowered, name))
        if {a for a, _ in self.output.strides()} != {a for dim in self.dims for a in dim}:
            raise Unsupported(f"{name} is broadcast to a larger shape afterwards")
        self.leaves.pop(name)

    @property
    def suffix(self) -> str:
        """For titles: what is fused; empty when nothing is."""
        return "" if self.root.op == "load" else f", fused with {_short(expressions.text(self.root))}"

    def text(self, what: str) -> str:
        """The mathematics, with ``what`` for the value itself."""
        return "out = " + expressions.text(self.root).replace(self.name, what)

    def finish(self, index: Sequence[str], value: str, *, count: str = "", stream: str = "") -> Row:
        """Like :meth:`row`, down to the store: ``value`` is C++ for the value's register at ``j``.

        ``stream`` names a macro that chooses non-temporal stores. The result's text is the storing statement.
        """
        base, inner = self.address(self.output, index)
        if inner != 1 and self.dims[-1]:
            raise Unsupported("the output's rows are not contiguous where the kernel makes them")
        row = self.row(index, count=count, known={self.name: value})
        row.hoisted.insert(0, f"auto* const out_row = {' + '.join([f'{self.output.tensor}_p', *base])};")
        if count:
            row.result = f"store_part(out_row + j, {row.result}, {count});"
        elif stream:
            if not row.result.isidentifier():
                row.body.append(f"const vec stored = {row.result};")
                row.result = "stored"
            row.result = (
                f"if ({stream}) stream(out_row + j, {row.result}); else store(out_row + j, {row.result});"
            )
        else:
            row.result = f"store(out_row + j, {row.result});"
        return row

    def loop(
        self, index: Sequence[str], length: Size, extent: str, value: str, *, stream: str = ""
    ) -> list[str]:
        """A whole row: ``value`` is evaluated at every ``j``.

        Rows of at least a register end in a full one that overlaps the one before.

        Args:
            index: C++ text of all indices but the last.
            length: the row's length in every trace.
            extent: C++ text of it.
            value: C++ for the register at ``j``.
            stream: as for :meth:`finish`.
        """
        if len(set(length)) == 1:
            return self._loop(index, extent, value, stream, short=length[0] < LANES)
        long, short = (self._loop(index, extent, value, stream, short=s) for s in (False, True))
        return [
            f"if ({extent} >= W) {{",
            *(f"  {line}" for line in long),
            "} else {",
            *(f"  {line}" for line in short),
            "}",
        ]

    def _loop(self, index: Sequence[str], extent: str, value: str, stream: str, *, short: bool) -> list[str]:
        count = f"std::min<int64_t>(W, {extent} - j)" if short else ""
        row = self.finish(index, value if value.isidentifier() else "value", count=count, stream=stream)
        lines = [*row.hoisted]
        if short:
            lines.append(f"for (int64_t j = 0; j < {extent}; j += W) {{")
        else:
            lines.append(f"for (int64_t next = 0; next < {extent}; next += W) {{")
            lines.append(
                f"  const int64_t j = std::min<int64_t>(next, {extent} - W);  // the last register overlaps"
            )
        if not value.isidentifier():
            lines.append(f"  const vec value = {value};")
        return [*lines, *(f"  {line}" for line in [*row.body, row.result]), "}"]


class Prologue(Rows):
    """The pointwise computation of one value from inputs, evaluated where the kernel would have loaded it."""

    prefix = "in"

    def __init__(self, graph: Graph, name: str) -> None:
        lowered = lower(dataclasses.replace(graph, outputs=(name,)))
        if lowered.reductions:
            raise Unsupported(
                f"{name} is the result of a reduction; only pointwise operations are fused before it"
            )
        output = lowered.outputs[0]
        value = graph.values[name]
        rest = list(output.axes)
        dims: list[list[Axis]] = []
        for d in range(len(value.shape)):
            dim: list[Axis] = []
            while times((a.extent for a in dim), lowered.traces) != value.extents(d):
                dim += rest.pop(0)[0].atoms()
            dims.append(dim)
        super().__init__(lowered, output.expr, dims)

    @property
    def plain(self) -> bool:
        """Whether nothing is computed: the value is a tensor as it lies in memory."""
        return self.root.op == "load"


def dimensions(graph: Graph, lowered: Lowered, name: str) -> list[list[Axis]]:
    """The axes of each dimension of a loaded value."""
    held = iter(lowered.leaves[name].axes)
    value = graph.values[name]
    return [
        [] if all(n == 1 for n in value.extents(d)) else next(held)[0].atoms()
        for d in range(len(value.shape))
    ]


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
