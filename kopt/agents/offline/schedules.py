"""The schedules of fused loops: how a nest of pointwise work and reductions is walked.

* ``flat``: no reduction; blocks of the register loop are shared out to the threads.
* ``rows``: the register loop is reduced; a thread owns a row and walks it once per pass while it is in cache.
* ``columns``: the register loop is kept; a thread owns a tile of columns, so that memory is still read in order.
* ``split``: few or no kept loops; all threads share one row, with partial results between passes.

Schedule apart from computation, as in TVM; passes over a cached row as in Milakov and Gimelshein's safe softmax.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kopt.agents.offline.emission import IDENTITY, Writer, combine
from kopt.agents.offline.expr import Expr, emit, walk, weight
from kopt.agents.offline.graph import Unsupported
from kopt.agents.offline.nest import Fold, Loop, Nest, Store, count

LAMBDA = "[&](int64_t k, [[maybe_unused]] int u, auto at) __attribute__((always_inline))"
BLOCKED_SUM = 64
"""Terms a column sum adds up before it goes to a second level: keeps rounding errors as small as torch's cascade."""
KEEP_WEIGHT = 10
"""From this many operations on, a value is worth keeping for the next pass."""


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
    outer = tuple(nest.order(kept))
    if register not in over:
        return Arrangement(
            "columns",
            tuple(o for o in outer if o is not register),
            reduced,
            register,
            tuple(row),
            tuple(final),
        )
    few = count(outer) < 2 * cores
    long = count(reduced) >= 1 << 14 or (not outer and len(set(register.extent)) > 1)
    if few and not final and long:
        return Arrangement("split", outer, reduced, register, tuple(row))
    return Arrangement("rows", outer, reduced, register, tuple(row), tuple(final))


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


def write(writer: Writer, plan: Arrangement) -> None:
    """Write the loops of one arrangement."""
    {"flat": _flat, "rows": _rows, "columns": _columns, "split": _split}[plan.kind](writer, plan)


def _product(loops: Sequence[Loop]) -> str:
    return " * ".join(loop.name for loop in loops) or "1"


# Passes ----------------------------------------------------------------------------------------------------


def _levels(folds: Sequence[Fold]) -> list[list[Fold]]:
    return [[f for f in folds if f.level == level] for level in sorted({f.level for f in folds})]


def _row_stores(nest: Nest, reduced: Sequence[Loop]) -> tuple[list[Store], list[Store]]:
    inside = set(reduced)
    varying = [s for s in nest.stores if inside & set(s.access.strides)]
    return varying, [s for s in nest.stores if s not in varying]


def _fold_sweep(
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
    pointers = w.pointers(_loads(w, exprs), p.register, fixed)
    for fold in folds:
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
        _fetch(w, fetch or {}, pointers)
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


def _fetch(w: Writer, ahead: Mapping[str, str], pointers: Mapping[str, str]) -> None:
    for name, distance in ahead.items():
        if name in pointers:
            w.helpers.add("prefetch")
            w.add(f"if (PREFETCH) prefetch({pointers[name]} + k + {distance});")


def _total_type(fold: Fold) -> str:
    return "double" if fold.op in ("sum", "prod") else "real"


def _loads(w: Writer, exprs: Sequence[Expr]) -> list[str]:
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


def _store_sweep(
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
    pointers = w.pointers(_loads(w, exprs), p.register, fixed)
    places = w.store_pointers([s.access for s in stores], p.register)
    with w.block(f"sweep({begin}, {end}, {LAMBDA}", "});"):
        _fetch(w, fetch or {}, pointers)
        done = w.write(
            emit(exprs, lambda e: w.vector_load(e, p.register, pointers), real=w.real, known=w.vectors)
        )
        for store, place, value in zip(stores, places, done.results, strict=True):
            w.store_vector(store.access, p.register, place, _vector(store.expr, value))


def _vector(expr: Expr, text: str) -> str:
    return f"({text} ? splat(1) : splat(0))" if expr.kind == "mask" else text


def _store_scalars(w: Writer, stores: Sequence[Store]) -> None:
    for store in stores:
        w.helpers.add("put_scalar")
        done = w.write(emit([store.expr], w.scalar_load, vector=False, real=w.real, known=w.scalars))
        w.add(f"set({w.place(store.access)}, {done.results[0]});")


def _in_range(stores: Sequence[Store], register: Loop) -> tuple[list[Store], list[Store]]:
    along = [s for s in stores if register in s.access.strides]
    return along, [s for s in stores if s not in along]


# Schedules -------------------------------------------------------------------------------------------------


def _flat(w: Writer, p: Arrangement) -> None:
    loop = p.register
    along, beside = _in_range(w.nest.stores, loop)
    w.add(f"const int64_t blocks = ({loop.name} + GRAIN - 1) / GRAIN;")
    w.add("#pragma omp parallel")
    with w.block(""):
        w.add("#pragma omp for schedule(static)")
        flat = "block" if not p.kept else "task"
        total = "blocks" if not p.kept else f"{_product(p.kept)} * blocks"
        with w.block(f"for (int64_t {flat} = 0; {flat} < {total}; ++{flat})"):
            if p.kept:
                w.add("const int64_t outer = task / blocks, block = task % blocks;")
                w.decode("outer", p.kept)
            w.add("const int64_t begin = block * GRAIN;")
            w.add(f"const int64_t end = begin + GRAIN < {loop.name} ? begin + GRAIN : {loop.name};")
            if along:
                _store_sweep(w, along, p, "begin", "end")
            if beside:
                raise Unsupported("outputs of different sizes in one pointwise loop")
        w.add("streams_done();")


def _rows(w: Writer, p: Arrangement) -> None:
    varying, scalars = _row_stores(w.nest, p.reduced)
    ends = {f.name for f in p.final}
    last = [s for s in scalars if ends & set(w.nest.names(s.expr))]
    scalars = [s for s in scalars if s not in last]
    for fold in p.final:
        w.add(f"double {fold.name}_of[THREADS];")
    w.add("int team = 1;" if p.final else "", "#pragma omp parallel num_threads(threads())")
    with w.block(""):
        for fold in p.final:
            w.add(f"double {fold.name}_mine = {IDENTITY[fold.op]};")
        for name in w.kept.values():
            w.add(f"const std::unique_ptr<real[]> {name}_held(new real[{p.register.name} + 2 * W]);")
            w.add(
                f"real* const {name} = {name}_held.get() + W - (uintptr_t({name}_held.get()) / sizeof(real)) % W;"
            )
        w.add("#pragma omp for schedule(static)")
        with w.block(f"for (int64_t row = 0; row < {_product(p.kept)}; ++row)"):
            w.decode("row", p.kept)
            _row_passes(w, p, varying)
            _store_scalars(w, scalars)
            for fold in p.final:
                done = w.write(emit([fold.expr], w.scalar_load, vector=False, real=w.real, known=w.scalars))
                value = f"double({done.results[0]})"
                w.add(f"{fold.name}_mine = {_combine_double(fold, f'{fold.name}_mine', value)};")
        for fold in p.final:
            w.add(f"{fold.name}_of[omp_get_thread_num()] = {fold.name}_mine;")
        if p.final:
            w.add("#pragma omp single", "team = omp_get_num_threads();")
        w.add("streams_done();")
    _finish(w, p, last)


def _combine_double(fold: Fold, a: str, b: str) -> str:
    if fold.op in ("sum", "prod"):
        return combine(fold.op, a, b)
    return f"double({combine(fold.op, f'real({a})', f'real({b})')})"


def _finish(w: Writer, p: Arrangement, last: Sequence[Store]) -> None:
    """Join the threads' partial results and write what depends on them."""
    for fold in p.final:
        w.add(f"double {fold.name}_all = {IDENTITY[fold.op]};")
        joined = _combine_double(fold, f"{fold.name}_all", f"{fold.name}_of[t]")
        w.add(f"for (int t = 0; t < team; ++t) {fold.name}_all = {joined};")
        w.add(f"const real {fold.name} = real({fold.name}_all);")
        if fold.op in ("max", "min"):
            w.helpers.add(f"{fold.op}imum")
    _store_scalars(w, last)


def keepable(nest: Nest, p: Arrangement) -> list[Expr]:
    """Expensive values that the last reducing pass and the writing pass of a row both need."""
    varying, _ = _row_stores(nest, p.reduced)
    if p.kind != "rows" or not varying or p.reduced != (p.register,):
        return []
    later = {e.key for e in walk(*(s.expr for s in varying))}
    shared = [e for e in walk(*(f.expr for f in _levels(p.row)[-1])) if e.key in later and e.kind == "real"]
    shared = [e for e in shared if p.register in nest.free(e) and weight(e) >= KEEP_WEIGHT]
    inner = {e.key for s in shared for e in walk(*s.args)}
    return [e for e in shared if e.key not in inner]


def _row_passes(w: Writer, p: Arrangement, varying: Sequence[Store]) -> None:
    """Every pass over one row that one thread owns."""
    walked = [loop for loop in p.reduced if loop is not p.register]
    levels = _levels(p.row)
    ahead = _next_row(w, p, levels[0])
    for number, folds in enumerate(levels):
        w.add(f"// pass {number + 1}: " + ", ".join(f"{f.name} = {f.op} {f.expr}" for f in folds))
        w.hoist([f.expr for f in folds], w.index.keys())
        for fold in folds:
            w.add(f"{_total_type(fold)} {fold.name}_all = {IDENTITY[fold.op]};")
        with w.open_loops(walked):
            long = p.register.extent[0] > 16384 or len(set(p.register.extent)) > 1
            totals = [f"{f.name}_all" for f in folds]
            keep = w.kept if number == len(levels) - 1 else {}
            fetch = ahead if number == 1 else {}
            if long:
                with w.block(f"for (int64_t begin = 0; begin < {p.register.name}; begin += CHUNK)"):
                    w.add(
                        f"const int64_t end = begin + CHUNK < {p.register.name} ? begin + CHUNK : {p.register.name};"
                    )
                    _fold_sweep(w, folds, p, "begin", "end", totals, keep, fetch)
            else:
                with contextlib.nullcontext() if walked else w.block(""):
                    _fold_sweep(w, folds, p, "0", p.register.name, totals, keep, fetch)
        for fold in folds:
            w.add(f"const real {fold.name} = real({fold.name}_all);")
    if varying:
        along, beside = _in_range(varying, p.register)
        if beside:
            raise Unsupported("outputs over different parts of a row")
        w.add(f"// pass {len(levels) + 1}: the row is still in cache")
        for key, name in w.kept.items():
            w.vectors[key] = f"load({name} + k)"
        w.hoist([s.expr for s in along], w.index.keys())
        with w.open_loops(walked):
            _store_sweep(w, along, p, "0", p.register.name, ahead if len(levels) == 1 else {})


def _next_row(w: Writer, p: Arrangement, first: Sequence[Fold]) -> dict[str, str]:
    """How far ahead the next row lies, for each load of the first pass that reads its row in order."""
    if not p.kept or p.reduced != (p.register,):
        return {}
    found = {}
    for name in w.nest.names(*(f.expr for f in first)):
        access = w.nest.loads.get(name)
        if access and access.along(p.register) == 1 and p.kept[-1] in access.strides and not access.pick:
            found[name] = w.nest.text(access.strides[p.kept[-1]])
    return found


def _split(w: Writer, p: Arrangement) -> None:
    varying, scalars = _row_stores(w.nest, p.reduced)
    walked = [loop for loop in p.reduced if loop is not p.register]
    for fold in p.row:
        w.add(f"double {fold.name}_of[THREADS];")
    with w.open_loops(p.kept):
        w.add("#pragma omp parallel num_threads(threads())")
        with w.block(""):
            w.add("const int64_t me = omp_get_thread_num(), team = omp_get_num_threads();")
            w.add(f"const int64_t chunks = ({p.register.name} + CHUNK - 1) / CHUNK;")
            total = f"{_product(walked)} * chunks" if walked else "chunks"
            w.add(f"const int64_t first = {total} * me / team, last = {total} * (me + 1) / team;")
            levels = _levels(p.row)
            for number, folds in enumerate(levels):
                w.add(f"// pass {number + 1}: " + ", ".join(f"{f.name} = {f.op} {f.expr}" for f in folds))
                for fold in folds:
                    w.add(f"double {fold.name}_mine = {IDENTITY[fold.op]};")
                with w.block("for (int64_t piece = first; piece < last; ++piece)"):
                    _piece(w, p, walked)
                    names = [f"{f.name}_mine" for f in folds]
                    _fold_sweep(w, folds, p, "begin", "end", names)
                w.add(*(f"{f.name}_of[me] = {f.name}_mine;" for f in folds))
                w.add("#pragma omp barrier")
                for fold in folds:
                    w.add(f"double {fold.name}_all = {IDENTITY[fold.op]};")
                    joined = _combine_double(fold, f"{fold.name}_all", f"{fold.name}_of[t]")
                    w.add(f"for (int64_t t = 0; t < team; ++t) {fold.name}_all = {joined};")
                    w.add(f"[[maybe_unused]] const real {fold.name} = real({fold.name}_all);")
            if varying:
                w.add(f"// pass {len(levels) + 1}: each thread writes the part it has just read")
                with w.block("for (int64_t piece = first; piece < last; ++piece)"):
                    _piece(w, p, walked)
                    _store_sweep(w, varying, p, "begin", "end")
                w.add("streams_done();")
            if scalars:
                with w.block("if (me == 0)"):
                    _store_scalars(w, scalars)


def _piece(w: Writer, p: Arrangement, walked: Sequence[Loop]) -> None:
    if walked:
        w.add("const int64_t outer = piece / chunks, chunk = piece % chunks;")
        w.decode("outer", walked)
    w.add(f"const int64_t begin = {'chunk' if walked else 'piece'} * CHUNK;")
    w.add(f"const int64_t end = begin + CHUNK < {p.register.name} ? begin + CHUNK : {p.register.name};")


def _columns(w: Writer, p: Arrangement) -> None:
    varying, kept_stores = _row_stores(w.nest, p.reduced)
    loop = p.register
    ends = {f.name for f in p.final}
    last = [s for s in kept_stores if ends & set(w.nest.names(s.expr))]
    kept_stores = [s for s in kept_stores if s not in last]
    for fold in p.final:
        w.add(f"double {fold.name}_of[THREADS];")
    w.add("int team = 1;" if p.final else "", f"const int64_t blocks = ({loop.name} + BLOCK - 1) / BLOCK;")
    w.add("#pragma omp parallel num_threads(threads())")
    with w.block(""):
        for fold in p.final:
            w.add(f"double {fold.name}_mine = {IDENTITY[fold.op]};")
        w.add("#pragma omp for schedule(static)")
        total = f"{_product(p.kept)} * blocks" if p.kept else "blocks"
        with w.block(f"for (int64_t tile = 0; tile < {total}; ++tile)"):
            if p.kept:
                w.add("const int64_t outer = tile / blocks, block = tile % blocks;")
                w.decode("outer", p.kept)
            w.add(f"const int64_t begin = {'block' if p.kept else 'tile'} * BLOCK;")
            w.add(f"const int64_t end = begin + BLOCK < {loop.name} ? begin + BLOCK : {loop.name};")
            for number, folds in enumerate(_levels(p.row)):
                w.add(f"// pass {number + 1}: " + ", ".join(f"{f.name} = {f.op} {f.expr}" for f in folds))
                _column_hoist(w, p, [f.expr for f in folds])
                _column_folds(w, p, folds)
            if varying:
                _column_hoist(w, p, [s.expr for s in varying])
                w.add("// last pass: the tile is still in cache")
                with w.open_loops(p.reduced):
                    _store_sweep(w, varying, p, "begin", "end")
            if kept_stores:
                with w.block(""):
                    _store_sweep(w, kept_stores, p, "begin", "end")
            for fold in p.final:
                with w.block(""):
                    _fold_sweep(w, [fold], p, "begin", "end", [f"{fold.name}_mine"])
        for fold in p.final:
            w.add(f"{fold.name}_of[omp_get_thread_num()] = {fold.name}_mine;")
        if p.final:
            w.add("#pragma omp single", "team = omp_get_num_threads();")
        w.add("streams_done();")
    _finish(w, p, last)


def _column_folds(w: Writer, p: Arrangement, folds: Sequence[Fold]) -> None:
    """Reduce a tile: every column owns an element of a small array that stays in the first-level cache."""
    blocked = max(p.reduced, key=lambda o: o.extent[0])
    long = blocked.extent[0] > BLOCKED_SUM and any(f.op in ("sum", "prod") for f in folds)
    names = {f.name: f"{f.name}_part" if long else f.name for f in folds}
    for fold in folds:
        w.add(f"alignas(64) real {fold.name}[BLOCK + W];")
        w.add(f"for (int64_t k = 0; k < BLOCK; k += W) store({fold.name} + k, splat({IDENTITY[fold.op]}));")
    if long:
        start = f"{blocked.name}_from"
        w.add("// a second level of sums every 64 rows keeps the rounding error small")
        ctx = w.block(f"for (int64_t {start} = 0; {start} < {blocked.name}; {start} += {BLOCKED_SUM})")
    else:
        ctx = w.block("")
    with ctx:
        if long:
            for fold in folds:
                w.add(f"alignas(64) real {fold.name}_part[BLOCK + W];")
                w.add(
                    f"for (int64_t k = 0; k < BLOCK; k += W) store({fold.name}_part + k, splat({IDENTITY[fold.op]}));"
                )
            w.add(
                f"const int64_t {blocked.name}_to = {start} + {BLOCKED_SUM} < {blocked.name} ? "
                f"{start} + {BLOCKED_SUM} : {blocked.name};"
            )
        with w.open_loops([o for o in p.reduced if o is not blocked]):
            name = f"i{blocked.name[1:]}"
            head = f"{start}; {name} < {blocked.name}_to" if long else f"0; {name} < {blocked.name}"
            with w.block(f"for (int64_t {name} = {head}; ++{name})"):
                w.index[blocked] = name
                exprs = [f.expr for f in folds]
                w.hoist(exprs, w.index.keys())
                pointers = w.pointers(_loads(w, exprs), p.register, w.index.keys())
                with w.block(f"sweep(begin, end, {LAMBDA}", "});"):
                    done = w.write(
                        emit(
                            exprs,
                            lambda e: w.vector_load(e, p.register, pointers),
                            real=w.real,
                            known=w.vectors,
                        )
                    )
                    for fold, value in zip(folds, done.results, strict=True):
                        place = f"{names[fold.name]} + (k - begin)"
                        w.add(f"store({place}, {combine(fold.op, f'load({place})', value)});")
                        if fold.op in ("max", "min"):
                            w.helpers.add(f"{fold.op}imum")
        if long:
            with w.block("for (int64_t k = 0; k < BLOCK; k += W)"):
                for fold in folds:
                    joined = combine(fold.op, f"load({fold.name} + k)", f"load({fold.name}_part + k)")
                    w.add(f"store({fold.name} + k, {joined});")
    for fold in folds:
        w.arrays[fold.name] = fold.name


def _column_hoist(w: Writer, p: Arrangement, exprs: Sequence[Expr]) -> None:
    """Compute once per column what does not vary along the reduced loops and is more than a load."""
    allowed = [*w.index.keys(), p.register]
    folds = set(w.arrays)
    wanted = [
        e
        for e in w.invariants(exprs, allowed)
        if e.op != "load" and e.key not in w.vectors and p.register in w.free(e) and folds & set(w.nest.names(e))
        and any(x.op not in ("load", "const") for x in walk(e))
    ]  # fmt: skip
    for expr in sorted(wanted, key=lambda e: e.key):
        name = f"t{expr.key}_k"
        w.add(f"alignas(64) real {name}[BLOCK + W];  // {expr}")
        with w.block(""):
            w.hoist([expr], w.index.keys())
            pointers = w.pointers(_loads(w, [expr]), p.register, w.index.keys())
            with w.block(f"sweep(begin, end, {LAMBDA}", "});"):
                done = w.write(
                    emit(
                        [expr], lambda e: w.vector_load(e, p.register, pointers), real=w.real, known=w.vectors
                    )
                )
                w.add(f"store({name} + (k - begin), {done.results[0]});")
        w.vectors[expr.key] = f"load({name} + (k - begin))"
