"""Passes of a schedule: sweeps that reduce, sweeps that write, and the joining of partial results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kopt.agents.offline.arrangement import Arrangement
from kopt.agents.offline.emission import IDENTITY, Writer, combine
from kopt.agents.offline.expr import Expr, emit, walk
from kopt.agents.offline.nest import Fold, Loop, Nest, Store

LAMBDA = "[&](int64_t k, [[maybe_unused]] int u, auto at) __attribute__((always_inline))"


def product(loops: Sequence[Loop]) -> str:
    """The iterations of some loops together, as C++."""
    return " * ".join(loop.name for loop in loops) or "1"


def levels(folds: Sequence[Fold]) -> list[list[Fold]]:
    """Reductions by the pass that computes them."""
    return [[f for f in folds if f.level == level] for level in sorted({f.level for f in folds})]


def row_stores(nest: Nest, reduced: Sequence[Loop]) -> tuple[list[Store], list[Store]]:
    """Outputs that vary along the reduced loops, and those that do not."""
    inside = set(reduced)
    varying = [s for s in nest.stores if inside & set(s.access.strides)]
    return varying, [s for s in nest.stores if s not in varying]


def fold_sweep(
    w: Writer,
    folds: Sequence[Fold],
    p: Arrangement,
    begin: str,
    end: str,
    totals: Sequence[str],
    keep: Mapping[int, str] | None = None,
    fetch: Mapping[str, str] | None = None,
) -> None:
    """One sweep that adds its part of the row to ``totals``; may keep values and prefetch the next row."""
    fixed = w.index.keys()
    exprs = [f.expr for f in folds]
    kept = [e for e in walk(*exprs) if e.key in (keep or {})]
    w.hoist(exprs, fixed)
    pointers = w.pointers(loads(w, exprs), p.register, fixed)
    for fold in folds:
        if fold.op == "sum" and w.real == "float":
            w.helpers.add("wide")
            w.add(f"wide {fold.name}_v[UNROLL] = {{}};")
        else:
            w.add(f"vec {fold.name}_v[UNROLL];")
            w.add(f"for (vec& v : {fold.name}_v) v = splat({IDENTITY[fold.op]});")
    with w.block(f"sweep({begin}, {end}, {LAMBDA}", "});"):
        done = w.write(
            emit(
                [*exprs, *kept],
                lambda e: w.vector_load(e, p.register, pointers),
                real=w.real,
                known=w.vectors,
            )
        )
        w.methods.add("only")
        for key, name in (keep or {}).items():
            w.add(f"store({name} + k, {w.vectors[key]});")
        prefetch_lines(w, fetch or {}, pointers)
        for fold, value in zip(folds, done.results[: len(folds)], strict=True):
            part = f"at.only({value}, {IDENTITY[fold.op]})"
            w.add(f"{fold.name}_v[u] = {combine(fold.op, f'{fold.name}_v[u]', part)};")
    for fold, total in zip(folds, totals, strict=True):
        joined = combine(fold.op, f"{fold.name}_v[0]", f"{fold.name}_v[u]")
        w.add(f"for (int u = 1; u < UNROLL; ++u) {fold.name}_v[0] = {joined};")
        w.helpers.add(f"{fold.op}_lanes")
        if fold.op in ("max", "min"):
            w.helpers.add(f"{fold.op}imum")
        w.add(f"{total} = {combine(fold.op, total, f'{fold.op}_lanes({fold.name}_v[0])')};")


def prefetch_lines(w: Writer, ahead: Mapping[str, str], pointers: Mapping[str, str]) -> None:
    """Ask for the same place in the next row."""
    for name, distance in ahead.items():
        if name in pointers:
            w.helpers.add("prefetch")
            w.add(f"if (PREFETCH) prefetch({pointers[name]} + k + {distance});")


def total_type(fold: Fold) -> str:
    """The type a row's result is gathered in."""
    return "double" if fold.op in ("sum", "prod") else "real"


def loads(w: Writer, exprs: Sequence[Expr]) -> list[str]:
    """Loads that are evaluated inside the sweep: those below no hoisted expression."""
    found: list[str] = []
    seen: set[int] = set()
    stack = list(reversed(exprs))
    while stack:
        expr = stack.pop()
        if expr.key in seen or expr.key in w.vectors:
            continue
        seen.add(expr.key)
        if expr.op == "load" and expr.name in w.nest.loads and expr.name not in found:
            found.append(expr.name)
        stack.extend(reversed(expr.args))
    return found


def store_sweep(
    w: Writer,
    stores: Sequence[Store],
    p: Arrangement,
    begin: str,
    end: str,
    fetch: Mapping[str, str] | None = None,
) -> None:
    """One sweep that writes outputs."""
    fixed = w.index.keys()
    exprs = [s.expr for s in stores]
    w.hoist(exprs, fixed)
    pointers = w.pointers(loads(w, exprs), p.register, fixed)
    places = w.store_pointers([s.access for s in stores], p.register)
    with w.block(f"sweep({begin}, {end}, {LAMBDA}", "});"):
        prefetch_lines(w, fetch or {}, pointers)
        done = w.write(
            emit(exprs, lambda e: w.vector_load(e, p.register, pointers), real=w.real, known=w.vectors)
        )
        for store, place, value in zip(stores, places, done.results, strict=True):
            w.store_vector(store.access, p.register, place, vector(store.expr, value))


def vector(expr: Expr, text: str) -> str:
    """A result as a register of reals."""
    return f"({text} ? splat(1) : splat(0))" if expr.kind == "mask" else text


def store_scalars(w: Writer, stores: Sequence[Store]) -> None:
    """Write outputs of one element per row."""
    for store in stores:
        w.helpers.add("put_scalar")
        done = w.write(emit([store.expr], w.scalar_load, vector=False, real=w.real, known=w.scalars))
        w.add(f"set({w.place(store.access)}, {done.results[0]});")


def in_range(stores: Sequence[Store], register: Loop) -> tuple[list[Store], list[Store]]:
    """Outputs along the register loop, and the others."""
    along = [s for s in stores if register in s.access.strides]
    return along, [s for s in stores if s not in along]


def combine_double(fold: Fold, a: str, b: str) -> str:
    """Two partial results, kept in double precision, as one."""
    if fold.op in ("sum", "prod"):
        return combine(fold.op, a, b)
    return f"double({combine(fold.op, f'real({a})', f'real({b})')})"


def finish(w: Writer, p: Arrangement, last: Sequence[Store]) -> None:
    """Join the threads' partial results and write what depends on them."""
    for fold in p.final:
        w.add(f"double {fold.name}_all = {IDENTITY[fold.op]};")
        joined = combine_double(fold, f"{fold.name}_all", f"{fold.name}_of[t]")
        w.add(f"for (int t = 0; t < team; ++t) {fold.name}_all = {joined};")
        w.add(f"const real {fold.name} = real({fold.name}_all);")
        if fold.op in ("max", "min"):
            w.helpers.add(f"{fold.op}imum")
    store_scalars(w, last)
