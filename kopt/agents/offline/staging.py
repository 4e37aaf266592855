"""Cutting a nest into stages, each of which is one loop: what comes first leaves its results in scratch memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kopt.agents.offline.arrangement import arrange
from kopt.agents.offline.axes import Size
from kopt.agents.offline.graph import Unsupported, row_major
from kopt.agents.offline.nest import Access, Fold, Loop, Nest, Store


def stages(nest: Nest, cores: int) -> Iterator[tuple[Nest, list[tuple[str, str]]]]:
    """Cut a nest until each part is one loop: reductions that come first leave their results in scratch memory."""
    for _ in range(8):
        trial = Nest(
            nest.lowered, nest.loops, nest.loads, dict(nest.folds), nest.stores, nest.sizes, nest.bounds
        )
        if arrange(trial, cores) is not None:
            yield nest, []
            return
        first = min(nest.folds.values(), key=lambda f: (f.level, len(f.over)))
        group = [f for f in nest.folds.values() if f.over == first.over and _reach(nest, f) <= {first.over}]
        stores, loads, scratch = [], dict(nest.loads), []
        for fold in group:
            loops = nest.order(nest.free(fold.expr) - fold.over)
            access = scratch_of(fold, loops, nest)
            stores.append(Store(access, nest.lowered.pool.load(fold.name)))
            loads[fold.name] = access
            scratch.append((access.tensor, " * ".join(o.name for o in loops) or "1"))
        names = {f.name for f in group}
        inner_loops = [o for o in nest.loops if any(o in f.over or o in nest.free(f.expr) for f in group)]
        used = _reads(nest, [f.expr for f in group])
        held = {n: a for n, a in nest.loads.items() if n in used}
        yield (
            Nest(
                nest.lowered, inner_loops, held, {f.name: f for f in group}, stores, nest.sizes, nest.bounds
            ),
            scratch,
        )
        rest = {n: f for n, f in nest.folds.items() if n not in names}
        for fold in rest.values():
            fold.level = 0
        nest = Nest(nest.lowered, nest.loops, loads, rest, nest.stores, nest.sizes, nest.bounds)
        for fold in rest.values():
            fold.level = _level(nest, fold)
        wanted = _reads(nest, [*(f.expr for f in rest.values()), *(s.expr for s in nest.stores)])
        nest.folds = {n: f for n, f in rest.items() if n in wanted}
        nest.loads = {n: a for n, a in loads.items() if n in wanted}
    raise Unsupported("more stages than are worth it")


def _reads(nest: Nest, exprs: Sequence[object]) -> set[str]:
    found: set[str] = set()
    stack = [n for e in exprs for n in nest.names(e)]  # type: ignore[arg-type]
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            if name in nest.folds:
                stack.extend(nest.names(nest.folds[name].expr))
    return found


def _level(nest: Nest, fold: Fold) -> int:
    return 1 + max(
        (_level(nest, nest.folds[n]) for n in nest.names(fold.expr) if n in nest.folds), default=-1
    )


def _reach(nest: Nest, fold: Fold) -> set[frozenset[Loop]]:
    """What is reduced over, for a reduction and everything below it."""
    found = {fold.over}
    for name in nest.names(fold.expr):
        if name in nest.folds:
            found |= _reach(nest, nest.folds[name])
    return found


def scratch_of(fold: Fold, loops: Sequence[Loop], nest: Nest) -> Access:
    """Where a reduction's results lie between two stages: row-major over some loops, in the accumulation type."""
    traces = nest.lowered.traces
    strides: dict[Loop, Size] = {}
    per_trace = [row_major([loop.extent[t] for loop in loops]) for t in range(traces)]
    for position, loop in enumerate(loops):
        strides[loop] = tuple(s[position] for s in per_trace)
    dtype = "float64" if any(v.dtype == "float64" for v in nest.lowered.graph.values.values()) else "float32"
    return Access(f"{fold.name}_scratch", dtype, (0,) * traces, strides)
