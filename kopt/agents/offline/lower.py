"""Lowering: a graph of ATen operations becomes pointwise expressions and reductions over common axes.

After lowering only three things are left: loads of tensors, pointwise arithmetic (:mod:`expr`) and reductions.
Composite operators (softmax, norms, losses) and the same mathematics written by hand meet in the same form, so one
loop generator serves both. The definitions of the operators are in :mod:`aten`; this module holds the machinery.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from kopt.agents.offline.axes import Axis, Dim, Size, Spaces, atoms, times
from kopt.agents.offline.expr import INTS, Expr, Pool, substitute, walk
from kopt.agents.offline.graph import Graph, Node, Ref, Unsupported, Value, row_major

Number = float | int | bool
_HELD_BY = {
    "uint8": ("uint8", "int16", "int32"),
    "int8": ("int8", "int16", "int32"),
    "int16": ("int16", "int32"),
    "int32": ("int32",),
}
"""Integers of at most 32 bits, and the types that hold all of their values."""


@dataclass(frozen=True, eq=False)
class Term:
    """One tensor: an element as an expression, and the axes of each dimension."""

    expr: Expr
    dims: tuple[Dim, ...]
    dtype: str


@dataclass(eq=False)
class Leaf:
    """A load: which tensor, from which element, and the stride of each axis. ``pick`` adds an index read at run time.

    ``pick`` is ``(leaf of the index tensor, stride)``: the element's place along one dimension is data
    (the target class of a cross entropy). Without a tensor it is a number that follows from the place alone
    (``arange``): the offset, and an index times its stride for every axis. ``integer``: read as an integer, not a real.
    """

    name: str
    tensor: str
    axes: list[tuple[Axis, Size]]
    offset: Size
    dtype: str
    pick: tuple[Leaf, Size] | None = None
    integer: bool = False

    @property
    def counted(self) -> bool:
        """Whether it is a number that follows from the place alone."""
        return not self.tensor and not self.name.startswith("size:")

    def strides(self) -> list[tuple[Axis, Size]]:
        """The axes as they are by now, each with its stride."""
        result = []
        for axis, stride in self.axes:
            for atom in reversed(axis.atoms()):
                result.append((atom, stride))
                stride = tuple(s * n for s, n in zip(stride, atom.extent, strict=True))
        return result


@dataclass(eq=False)
class Reduction:
    """``name = op over axes of expr``; ``op`` is sum, max, min or prod."""

    name: str
    op: str
    expr: Expr
    axes: Dim

    def over(self) -> list[Axis]:
        """The reduced axes as they are by now."""
        return atoms(self.axes)


@dataclass(frozen=True, eq=False)
class Output:
    """One result: what its elements are and where they go. ``tensor`` is the destination's name."""

    tensor: str
    expr: Expr
    axes: list[tuple[Axis, Size]]
    dtype: str

    def strides(self) -> list[tuple[Axis, Size]]:
        """The axes as they are by now, each with its stride."""
        return Leaf("", "", self.axes, (), "").strides()


@dataclass(eq=False)
class Lowered:
    """The lowered graph: outputs, reductions in order of dependence, loads."""

    graph: Graph
    pool: Pool
    traces: int
    outputs: list[Output]
    reductions: dict[str, Reduction]
    leaves: dict[str, Leaf]

    def mathematics(self) -> list[str]:
        """What is computed, a line for each output and reduction: for the comment of a kernel."""
        outputs = [f"{o.tensor} = {o.expr}" for o in self.outputs]
        return outputs + [f"  {r.name} = {r.op} of {r.expr}" for r in self.reductions.values()]

    def reads(self, expr: Expr) -> set[str]:
        """Names of the loads and reductions an expression uses directly."""
        return {e.name for e in walk(expr) if e.op == "load"}

    def axes_of(self, expr: Expr) -> set[Axis]:
        """The axes an expression varies along."""
        found: set[Axis] = set()
        for name in self.reads(expr):
            if name in self.reductions:
                reduction = self.reductions[name]
                found |= self.axes_of(reduction.expr) - set(reduction.over())
            else:
                leaf: Leaf | None = self.leaves[name]
                while leaf is not None:
                    found |= {axis for axis, _ in leaf.strides()}
                    leaf = leaf.pick[0] if leaf.pick else None
        return found


def value_strides(value: Value) -> list[Size]:
    """Strides of each dimension in every trace."""
    if len(set(value.shapes)) > 1:
        if not value.contiguous:
            raise Unsupported(f"{value.name} varies in size and is not contiguous")
        per_trace = [row_major(shape) for shape in value.shapes]
    else:
        per_trace = [value.strides] * len(value.shapes)
    return [tuple(s[d] for s in per_trace) for d in range(len(value.shape))]


class Lowerer:
    """Walks the graph once and lowers each operation. The table of operations is ``aten.OPERATIONS``."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.pool = Pool()
        self.traces = len(next(iter(graph.values.values())).shapes) if graph.values else 1
        self.spaces = Spaces(self.traces)
        self.terms: dict[str, Term | tuple[Term, ...]] = {}
        self.leaves: dict[str, Leaf] = {}
        self.reductions: dict[str, Reduction] = {}
        self._known_reductions: dict[tuple[object, ...], str] = {}

    # Reading -----------------------------------------------------------------------------------------------

    def term(self, name: str) -> Term:
        """The tensor of that name; inputs, state, constants and foreign results become loads."""
        found = self.terms.get(name)
        if found is None:
            found = self.terms[name] = self._read(name)
        if isinstance(found, tuple):
            raise Unsupported(f"{name} is several tensors")
        return found

    def _read(self, name: str) -> Term:
        value = self.graph.values[name]
        held = self.graph.constants.get(name)
        if held is not None and len(held) == 1:
            return Term(self.pool.const(held[0]), tuple([] for _ in value.shape), value.dtype)
        if any(0 in shape for shape in value.shapes):
            raise Unsupported(f"{name} has no elements")
        dims = tuple(self.spaces.fresh(value.extents(d)) for d in range(len(value.shape)))
        self.spaces.note(dims)
        axes = [(d[0], s) for d, s in zip(dims, value_strides(value), strict=True) if d]
        self.leaves[name] = Leaf(name, name, axes, (0,) * self.traces, value.dtype)
        return Term(self.pool.load(name), dims, value.dtype)

    def number(self, value: Number, dtype: str = "float32") -> Term:
        """A literal as a tensor without dimensions."""
        return Term(self.pool.const(value), (), dtype)

    def numbers(self, count: int) -> Term:
        """0, 1, ... ``count - 1`` along an axis of their own, as a constant tensor of the graph."""
        name = f"NUMBERS{count}_{len(self.graph.constants)}"  # in capitals, as no parameter is
        dtype = "float64" if any(v.dtype == "float64" for v in self.graph.values.values()) else "float32"
        shape = (count,)
        value = Value(name, shape, dtype, (1,), (shape,) * self.traces)
        self.graph = dataclasses.replace(
            self.graph,
            values={**self.graph.values, name: value},
            constants={**self.graph.constants, name: tuple(range(count))},
        )
        return self.term(name)

    def counted(self, size: Size, start: Size, step: Size, dtype: str) -> Term:
        """``start, start + step, ...`` along an axis of their own.

        Raises:
            Unsupported: numbers so large that a float32 does not hold them.
        """
        if any(abs(a) + abs(b) * n >= 1 << 24 for a, b, n in zip(start, step, size, strict=True)):
            raise Unsupported("arange beyond 2^24, which float32 does not count to")
        dims = self.spaces.fresh(size)
        self.spaces.note([dims])
        name = f"COUNTED{len(self.leaves)}"  # in capitals, as no parameter is
        axes = [(axis, step) for axis in dims]
        self.leaves[name] = Leaf(name, "", axes, start, dtype)
        return Term(self.pool.load(name), (dims,), dtype)

    def integers(self, term: Term) -> Term:
        """The same elements as integers of 32 bits.

        Raises:
            Unsupported: they are computed as reals, or have more bits.
        """
        if term.expr.kind == INTS or term.expr.op == "const":
            return term
        leaf = self.leaves.get(term.expr.name) if term.expr.op == "load" else None
        if leaf is None or leaf.pick is not None or not (leaf.tensor or leaf.counted):
            raise Unsupported(f"bits of {term.dtype} values that are computed or gathered")
        if leaf.tensor and term.dtype not in _HELD_BY.get(leaf.dtype, ()):
            raise Unsupported(f"bits of {leaf.dtype} values as {term.dtype}")
        if any(v.dtype == "float64" for v in self.graph.values.values()):
            raise Unsupported("bits of integers beside double precision")
        name = f"BITS_{leaf.name}"  # in capitals, as no parameter is
        self.leaves[name] = dataclasses.replace(leaf, name=name, integer=True)
        return Term(self.pool.load(name, INTS), term.dims, term.dtype)

    def count(self, dims: Sequence[Dim]) -> Term:
        """The number of elements of some dimensions, as a literal or, where it varies, as a run-time value."""
        total = times((a.extent for d in dims for a in atoms(d)), self.traces)
        return self.size(total)

    def size(self, total: Size) -> Term:
        """A size as a number; one that varies is loaded under the name ``size:<expression>``."""
        if len(set(total)) == 1:
            return self.number(total[0])
        name = f"size:{self.graph.size(total)}"
        self.leaves[name] = Leaf(name, "", [], (0,) * self.traces, "int64")
        return Term(self.pool.load(name), (), "float32")

    # Building ----------------------------------------------------------------------------------------------

    def broadcast(self, *terms: Term) -> tuple[Dim, ...]:
        """The common dimensions of operands, unified."""
        rank = max((len(t.dims) for t in terms), default=0)
        result: list[Dim] = []
        for position in range(-rank, 0):
            found = [t.dims[position] for t in terms if len(t.dims) >= -position and atoms(t.dims[position])]
            for other in found[1:]:
                self.spaces.unify(found[0], other)
            result.append(list(found[0]) if found else [])
        self.spaces.note(result)
        return tuple(result)

    def apply(self, build: Callable[..., Expr], *terms: Term, dtype: str | None = None) -> Term:
        """A pointwise operation: ``build`` makes the expression from the operands' expressions."""
        dims = self.broadcast(*terms)
        return Term(build(*(t.expr for t in terms)), dims, dtype or promoted(terms))

    def op(self, name: str, *terms: Term | Number, dtype: str | None = None) -> Term:
        """Apply one operator of ``expr.OPS``."""
        tensors = [t if isinstance(t, Term) else self.number(t) for t in terms]
        return self.apply(lambda *e: self.pool.make(name, *e), *tensors, dtype=dtype)

    def dims(self, term: Term, chosen: int | Sequence[int] | None) -> list[int]:
        """Normalised dimension numbers; None and the empty list mean all."""
        rank = len(term.dims)
        if chosen is None or (not isinstance(chosen, int) and len(chosen) == 0):
            return list(range(rank))
        listed = [chosen] if isinstance(chosen, int) else list(chosen)
        return sorted({d % rank if rank else 0 for d in listed}) if rank else []

    def reduce(self, op: str, term: Term, chosen: int | Sequence[int] | None, keepdim: bool = False) -> Term:
        """Reduce over dimensions."""
        which = self.dims(term, chosen)
        axes = [a for d in which for a in atoms(term.dims[d])]
        dims = tuple(
            ([] if d in which else dim) for d, dim in enumerate(term.dims) if keepdim or d not in which
        )
        expr = self.pool.real(term.expr)
        if not axes:
            return Term(expr, dims, term.dtype)
        identity = (op, expr.key, tuple(a.serial for a in axes))
        name = self._known_reductions.get(identity)
        if name is None:
            name = f"{op}{len(self.reductions)}"
            self.reductions[name] = Reduction(name, op, expr, axes)
            self._known_reductions[identity] = name
        return Term(self.pool.load(name), dims, term.dtype)

    def mean(self, term: Term, chosen: int | Sequence[int] | None, keepdim: bool = False) -> Term:
        """The mean over dimensions."""
        which = self.dims(term, chosen)
        return self.op(
            "div", self.reduce("sum", term, which, keepdim), self.count([term.dims[d] for d in which])
        )

    def variance(
        self, term: Term, chosen: int | Sequence[int] | None, keepdim: bool = False, correction: float = 0
    ) -> Term:
        """The variance, in two passes: the mean first, then the mean square of what is left."""
        which = self.dims(term, chosen)
        centred = self.op("sub", term, self.mean(term, which, keepdim=True))
        total = self.reduce("sum", self.op("mul", centred, centred), which, keepdim)
        count = self.count([term.dims[d] for d in which])
        return self.op("div", total, self.op("sub", count, correction) if correction else count)

    def reshape(self, term: Term, shape: Sequence[Size]) -> Term:
        """The same elements in row-major order under another shape.

        Numbers that follow from the place are made anew: ``arange`` along rows and along columns may meet in one value.
        """
        leaf = self.leaves.get(term.expr.name) if term.expr.op == "load" else None
        if leaf is not None and leaf.counted and len(leaf.axes) == 1 and not leaf.integer:
            (axis, step), size = leaf.axes[0], leaf.axes[0][0].extent
            if size in shape and [a for dim in term.dims for a in atoms(dim)] == [axis]:
                fresh = self.counted(size, leaf.offset, step, leaf.dtype)
                return Term(fresh.expr, tuple(fresh.dims[0] if n == size else [] for n in shape), term.dtype)
        dims = tuple(self.spaces.regroup(term.dims, shape))
        self.spaces.note(dims)
        return Term(term.expr, dims, term.dtype)

    def slice(self, term: Term, dim: int, start: Size, step: int, count: Size) -> Term:
        """Elements ``start, start + step, ...`` of one dimension: every load below gets another origin."""
        axes = atoms(term.dims[dim])
        if not axes:
            return term
        if len(axes) != 1:
            raise Unsupported("a slice of a dimension made of several axes")
        old = axes[0]
        new = self.spaces.fresh(count)
        expr = self._reindexed(term.expr, old, new, start, step, {})
        dims = tuple(new if d == dim else x for d, x in enumerate(term.dims))
        self.spaces.note(dims)
        return Term(expr, dims, term.dtype)

    def _reindexed(
        self, expr: Expr, old: Axis, new: Dim, start: Size, step: int, done: dict[str, Expr]
    ) -> Expr:
        def change(load: Expr) -> Expr | None:
            if load.name not in done:
                done[load.name] = self._moved(load, old, new, start, step, done)
            return done[load.name]

        return substitute(expr, change, self.pool)

    def _moved(self, load: Expr, old: Axis, new: Dim, start: Size, step: int, done: dict[str, Expr]) -> Expr:
        reduction = self.reductions.get(load.name)
        if reduction is not None:
            if old in reduction.over():
                raise Unsupported("a slice along an axis that is also reduced")
            inner = self._reindexed(reduction.expr, old, new, start, step, done)
            if inner is reduction.expr:
                return load
            name = f"{reduction.op}{len(self.reductions)}"
            self.reductions[name] = Reduction(name, reduction.op, inner, reduction.axes)
            return self.pool.load(name)
        leaf = self.leaves[load.name]
        if leaf.pick is not None:
            raise Unsupported("a slice of a gathered tensor")
        axes: list[tuple[Axis, Size]] = []
        offset = leaf.offset
        for axis, stride in leaf.strides():
            if axis is not old:
                axes.append((axis, stride))
                continue
            offset = tuple(o + b * s for o, b, s in zip(offset, start, stride, strict=True))
            axes += [(a, tuple(s * step for s in stride)) for a in new]
        if len(axes) == len(leaf.strides()) and all(
            a is b for (a, _), (b, _) in zip(axes, leaf.strides(), strict=True)
        ):
            return load
        name = f"{leaf.tensor or 'COUNTED'}_{len(self.leaves)}"
        self.leaves[name] = Leaf(name, leaf.tensor, axes, offset, leaf.dtype, integer=leaf.integer)
        return self.pool.load(name, load.kind)

    def gather_last(self, term: Term, dim: int, index: Term) -> Term:
        """``term[..., index, ...]`` along ``dim``, where both are plain tensors (a class picked per row)."""
        if term.expr.op != "load" or term.expr.name not in self.leaves:
            raise Unsupported("a gather from a computed tensor")
        if index.expr.op != "load" or index.expr.name not in self.leaves:
            raise Unsupported("a gather at computed indices")
        kept = [d for i, d in enumerate(term.dims) if i != dim]
        dims = self.broadcast(Term(term.expr, tuple(kept), term.dtype), index)
        leaf = self.leaves[term.expr.name]
        if leaf.counted or self.leaves[index.expr.name].counted:
            raise Unsupported("a gather from or at numbers that follow from the place")
        along = atoms(term.dims[dim])
        if len(along) != 1:
            raise Unsupported("a gather along a dimension of several axes")
        stride = next(s for a, s in leaf.strides() if a is along[0])
        rest = [(a, s) for a, s in leaf.strides() if a is not along[0]]
        name = f"{leaf.tensor}_at_{index.expr.name}"
        self.leaves[name] = Leaf(
            name, leaf.tensor, rest, leaf.offset, leaf.dtype, (self.leaves[index.expr.name], stride)
        )
        return Term(self.pool.load(name), dims, term.dtype)

    # Running -----------------------------------------------------------------------------------------------

    def run(self, foreign: Collection[str] = ()) -> Lowered:
        """Lower everything the outputs need; ``foreign`` values are loaded, not computed."""
        from kopt.agents.offline import aten

        needed = _needed(self.graph, foreign)
        for node in self.graph.nodes:
            if node.name in needed:
                self.terms[node.name] = aten.lower(self, node)
        outputs = []
        for tensor, name in zip(self.graph.output_names, self.graph.outputs, strict=True):
            outputs.append(self._output(tensor, name))
        order = {r.name: r for r in self.reductions.values()}
        return Lowered(self.graph, self.pool, self.traces, outputs, order, self.leaves)

    def _output(self, tensor: str, name: str) -> Output:
        value, term = self.graph.values[name], self.term(name)
        if len(term.dims) != len(value.shape):
            raise Unsupported(f"{name} was lowered to rank {len(term.dims)}, not {len(value.shape)}")
        axes: list[tuple[Axis, Size]] = []
        for dim, stride, size in zip(
            term.dims, value_strides(value), (value.extents(d) for d in range(len(value.shape))), strict=True
        ):
            if times((a.extent for a in atoms(dim)), self.traces) != size:
                if atoms(dim):
                    raise Unsupported(f"{name} was lowered to another shape")
                dim = self.spaces.fresh(size)  # the reference expanded a dimension of size 1
            steps: list[tuple[Axis, Size]] = []
            for atom in reversed(atoms(dim)):
                steps.append((atom, stride))
                stride = tuple(s * n for s, n in zip(stride, atom.extent, strict=True))
            axes += reversed(steps)
        expr = term.expr
        if expr.kind == INTS:  # stored as a number like all others
            if value.dtype in ("int32", "int64") and not small(expr):
                raise Unsupported(f"{name} is made of 32-bit integers, of which float32 holds 24 bits")
            expr = self.pool.real(expr)
        return Output(tensor, expr, axes, value.dtype)


def small(expr: Expr) -> bool:
    """Whether integers are certainly of no more bits than a float32 holds."""
    return expr.op == "bits_and" and any(a.op == "const" and 0 <= a.value < 1 << 24 for a in expr.args)


def promoted(terms: Sequence[Term]) -> str:
    """The dtype of a pointwise result, closely enough to tell float64 and truth values apart."""
    ranks = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]
    held = [t.dtype for t in terms if t.dims] or [t.dtype for t in terms]
    return max(held, key=ranks.index) if held else "float32"


def _needed(graph: Graph, foreign: Collection[str]) -> set[str]:
    makers = {n.name: n for n in graph.nodes}
    needed: set[str] = set()
    stack = [n for n in graph.outputs if n not in foreign]
    while stack:
        name = stack.pop()
        if name in makers and name not in needed and name not in foreign:
            needed.add(name)
            stack.extend(makers[name].refs())
    return needed


def lower(graph: Graph, foreign: Collection[str] = ()) -> Lowered:
    """Lower a graph. ``foreign`` names values that something else computes (a matrix product): they become loads.

    Raises:
        Unsupported: an operation that has no lowering, or axes that cannot be brought together.
    """
    return Lowerer(graph).run(foreign)


def reference(node: Node, name: str) -> str | None:
    """The value an argument refers to, if it refers to one."""
    held = node.args.get(name)
    return held.name if isinstance(held, Ref) else None
