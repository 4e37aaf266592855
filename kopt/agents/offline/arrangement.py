"""Choosing how a nest is walked: which loops are kept, which are reduced, which one is the register loop."""

from __future__ import annotations

from dataclasses import dataclass

from kopt.agents.offline.expr import Expr
from kopt.agents.offline.graph import Unsupported
from kopt.agents.offline.nest import Fold, Loop, Nest, count


@dataclass(frozen=True)
class Arrangement:
    """Which schedule a nest gets, and its loops by role."""

    kind: str
    kept: tuple[Loop, ...]
    reduced: tuple[Loop, ...]
    register: Loop
    row: tuple[Fold, ...] = ()
    final: tuple[Fold, ...] = ()


def arrange(nest: Nest, cores: int) -> Arrangement | None:
    """Choose the schedule; None when the nest needs more than one loop (it must be staged)."""
    register = nest.innermost()
    if register is None:
        raise Unsupported("a result without any loop")
    if not nest.folds:
        return Arrangement("flat", tuple(o for o in nest.loops if o is not register), (), register)
    for over in dict.fromkeys(fold.over for fold in sorted(nest.folds.values(), key=lambda f: f.level)):
        trial = dict(nest.folds)
        found = _around(nest, over, register, cores)
        if found is not None:
            return found
        nest.folds = trial
    return None


def _around(nest: Nest, over: frozenset[Loop], register: Loop, cores: int) -> Arrangement | None:
    """The arrangement whose rows are reduced over ``over``, if all reductions fit it."""
    kept = frozenset(nest.loops) - over
    row: list[Fold] = []
    final: list[Fold] = []
    for fold in list(nest.folds.values()):
        if fold.over == over:
            row.append(fold)
        elif fold.over == kept and nest.free(fold.expr) <= kept:
            final.append(fold)
        elif fold.over == kept | over:
            # op over everything = op over the kept loops of op over the row
            inner = Fold(f"{fold.name}_row", fold.op, fold.expr, over, fold.level)
            row.append(inner)
            nest.folds[inner.name] = inner
            outer = Fold(fold.name, fold.op, nest.lowered.pool.load(inner.name), kept, fold.level + 1)
            nest.folds[fold.name] = outer
            final.append(outer)
        else:
            return None
    ends = {f.name for f in final}
    if any(ends & set(nest.names(f.expr)) for f in row):
        return None
    for fold in final:
        if ends & _deep_names(nest, fold.expr):
            return None
    for store in nest.stores:
        if ends & set(nest.names(store.expr)) and (store.access.strides or not _only(nest, store.expr, ends)):
            return None
    reduced = tuple(nest.order(over))
    around = tuple(nest.order(kept))
    if register not in over:
        return Arrangement(
            "columns",
            tuple(o for o in around if o is not register),
            reduced,
            register,
            tuple(row),
            tuple(final),
        )
    few = count(around) < 2 * cores
    long = count(reduced) >= 1 << 14 or (not around and len(set(register.extent)) > 1)
    if few and not final and long:
        return Arrangement("split", around, reduced, register, tuple(row))
    return Arrangement("rows", around, reduced, register, tuple(row), tuple(final))


def _only(nest: Nest, expr: Expr, allowed: set[str]) -> bool:
    return all(
        n in allowed or n in nest.sizes or not nest.free(nest.lowered.pool.load(n)) for n in nest.names(expr)
    )


def _deep_names(nest: Nest, expr: Expr) -> set[str]:
    found = set(nest.names(expr))
    for name in list(found):
        if name in nest.folds:
            found |= _deep_names(nest, nest.folds[name].expr)
    return found
