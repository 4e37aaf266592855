"""Loop nests: the few loops a lowered graph needs, after axes that are walked together have been merged."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from kopt.agents.offline.axes import Axis, Size
from kopt.agents.offline.expr import Expr, walk
from kopt.agents.offline.lower import Leaf, Lowered


@dataclass(eq=False)
class Loop:
    """One loop. ``name`` is its bound's name in C++, ``extent`` its size in each trace."""

    extent: Size
    name: str = ""

    def __repr__(self) -> str:
        return f"{self.name}={self.extent[0]}"


@dataclass
class Access:
    """Where an element lies: ``tensor_p[offset + sum(index * stride)]``, plus a picked index for gathers.

    Without a tensor, that sum is the element. ``integer``: read as an integer, not a real.
    """

    tensor: str
    dtype: str
    offset: Size
    strides: dict[Loop, Size]
    pick: tuple[Access, Size] | None = None
    integer: bool = False

    def along(self, loop: Loop) -> int | None:
        """The stride along a loop (first trace); None where the access does not vary."""
        held = self.strides.get(loop)
        return held[0] if held else None


@dataclass
class Fold:
    """A reduction over loops: ``op`` of ``expr``."""

    name: str
    op: str
    expr: Expr
    over: frozenset[Loop]
    level: int = 0


@dataclass
class Store:
    """An output: where its elements go and what they are."""

    access: Access
    expr: Expr


@dataclass
class Nest:
    """What is to be computed, over which loops (outermost first, by the layout of the largest tensor)."""

    lowered: Lowered
    loops: list[Loop]
    loads: dict[str, Access]
    folds: dict[str, Fold]
    stores: list[Store]
    sizes: dict[str, str] = field(default_factory=dict)
    bounds: dict[str, str] = field(default_factory=dict)

    def text(self, size: Size) -> str:
        """A size or stride as C++; one that varies by the name of the loop of that extent, where there is one."""
        if len(set(size)) > 1:
            for loop in self.loops:
                if loop.extent == size and loop.name:
                    return loop.name
        return self.lowered.graph.size(size)

    def names(self, *exprs: Expr) -> list[str]:
        """Loads and folds the expressions use directly, in order."""
        return [e.name for e in walk(*exprs) if e.op == "load"]

    def free(self, *exprs: Expr) -> set[Loop]:
        """The loops the expressions vary along."""
        found: set[Loop] = set()
        for name in self.names(*exprs):
            if name in self.folds:
                found |= self.free(self.folds[name].expr) - self.folds[name].over
            elif name in self.loads:
                access: Access | None = self.loads[name]
                while access is not None:
                    found |= set(access.strides)
                    access = access.pick[0] if access.pick else None
        return found

    def order(self, loops: Iterable[Loop]) -> list[Loop]:
        """Some loops, outermost first."""
        chosen = set(loops)
        return [loop for loop in self.loops if loop in chosen]

    def accesses(self) -> list[Access]:
        """Every load and store of memory."""
        found = [*(a for a in self.loads.values() if a.tensor), *(s.access for s in self.stores)]
        return found + [a.pick[0] for a in found if a.pick]

    def innermost(self) -> Loop | None:
        """The loop to vectorise: the one along which most elements lie next to each other."""
        best, most = None, 0
        for loop in self.loops:
            total = sum(count(a.strides) for a in self.accesses() if a.along(loop) == 1)
            if total >= most and (total or best is None):
                best, most = loop, total
        return best


def count(loops: Iterable[Loop]) -> int:
    """Iterations of some loops together (first trace)."""
    total = 1
    for loop in loops:
        total *= loop.extent[0]
    return total


def build(lowered: Lowered) -> Nest:
    """Resolve axes, merge those that are walked together, order and name the loops."""
    used = _used(lowered)
    leaves = {n: leaf for n, leaf in lowered.leaves.items() if n in used}
    accesses: list[dict[Axis, Size]] = []
    for leaf in leaves.values():
        held: Leaf | None = leaf
        while held is not None:
            accesses.append(dict(held.strides()))
            held = held.pick[0] if held.pick else None
    accesses += [dict(o.strides()) for o in lowered.outputs]
    folded = [set(lowered.reductions[n].over()) for n in used if n in lowered.reductions]
    axes = _ordered(accesses, folded)
    groups = [[axis] for axis in axes]
    changed = True
    while changed:
        changed = False
        for outer, inner in itertools.permutations(groups, 2):
            if _mergeable(outer[-1], inner[0], accesses, folded):
                outer += inner
                groups.remove(inner)
                changed = True
                break
    loop_of: dict[Axis, Loop] = {}
    loops = []
    for group in groups:
        total = group[0].extent
        for axis in group[1:]:
            total = tuple(a * b for a, b in zip(total, axis.extent, strict=True))
        loop = Loop(total)
        loops.append(loop)
        for axis in group:
            loop_of[axis] = loop
    last = {group[-1] for group in groups}

    def access(tensor: str, dtype: str, offset: Size, strides: list[tuple[Axis, Size]]) -> Access:
        return Access(tensor, dtype, offset, {loop_of[a]: s for a, s in strides if a in last})

    def from_leaf(leaf: Leaf) -> Access:
        made = access(leaf.tensor, leaf.dtype, leaf.offset, leaf.strides())
        made.integer = leaf.integer
        if leaf.pick:
            made.pick = (from_leaf(leaf.pick[0]), leaf.pick[1])
        return made

    loads = {n: from_leaf(leaf) for n, leaf in leaves.items() if leaf.tensor or leaf.counted}
    sizes = {n: n.removeprefix("size:") for n in leaves if n.startswith("size:")}
    folds = {
        n: Fold(n, r.op, r.expr, frozenset(loop_of[a] for a in r.over()))
        for n, r in lowered.reductions.items()
        if n in used
    }
    stores = [
        Store(access(o.tensor, o.dtype, (0,) * lowered.traces, o.strides()), o.expr) for o in lowered.outputs
    ]
    nest = Nest(lowered, loops, loads, folds, stores, sizes)
    for number, loop in enumerate(loops):
        loop.name = f"N{number}"
        nest.bounds[loop.name] = lowered.graph.size(loop.extent)
    for fold in folds.values():
        fold.level = 1 + max((folds[n].level for n in nest.names(fold.expr) if n in folds), default=-1)
    return nest


def _used(lowered: Lowered) -> list[str]:
    """Loads and reductions the outputs depend on, dependencies first."""
    order: list[str] = []

    def visit(expr: Expr) -> None:
        for held in walk(expr):
            if held.op == "load" and held.name not in order:
                if held.name in lowered.reductions:
                    visit(lowered.reductions[held.name].expr)
                order.append(held.name)

    for output in lowered.outputs:
        visit(output.expr)
    return order


def _ordered(accesses: list[dict[Axis, Size]], folded: list[set[Axis]]) -> list[Axis]:
    """All axes, outermost first as the largest tensor lies in memory."""

    def volume(strides: dict[Axis, Size]) -> int:
        total = 1
        for axis in strides:
            total *= axis.extent[0]
        return total

    order: list[Axis] = []
    for strides in sorted(accesses, key=volume, reverse=True):
        for axis in sorted(strides, key=lambda a: strides[a][0], reverse=True):
            if axis not in order:
                order.append(axis)
    for axes in folded:
        order += [axis for axis in axes if axis not in order]
    return order


def _mergeable(outer: Axis, inner: Axis, accesses: list[dict[Axis, Size]], folded: list[set[Axis]]) -> bool:
    if any((outer in axes) != (inner in axes) for axes in folded):
        return False
    for strides in accesses:
        a, b = strides.get(outer), strides.get(inner)
        if a is None and b is None:
            continue
        if a is None or b is None:
            return False
        if any(x != y * n for x, y, n in zip(a, b, inner.extent, strict=True)):
            return False
    return any(outer in s and inner in s for s in accesses)
