"""The schedules of fused loops: how a nest of pointwise work and reductions is walked.

* ``flat``: no reduction; blocks of the register loop are shared out to the threads.
* ``rows``: the register loop is reduced; a thread owns a row and walks it once per pass while it is in cache.
* ``columns``: the register loop is kept; a thread owns a tile of columns, so that memory is still read in order.
* ``split``: few or no kept loops; all threads share one row, with partial results between passes.

Schedule apart from computation, as in TVM; passes over a cached row as in Milakov and Gimelshein's safe softmax.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from kopt.agents.offline.arrangement import Arrangement
from kopt.agents.offline.columns import columns
from kopt.agents.offline.emission import IDENTITY, Writer
from kopt.agents.offline.expr import Expr, emit, walk, weight
from kopt.agents.offline.graph import Unsupported
from kopt.agents.offline.nest import Fold, Loop, Nest, Store
from kopt.agents.offline.passes import (
    combine_double,
    finish,
    fold_sweep,
    in_range,
    levels,
    product,
    row_stores,
    store_scalars,
    store_sweep,
    total_type,
)

KEEP_WEIGHT = 10
"""From this many operations on, a value is worth keeping for the next pass."""


def write(writer: Writer, plan: Arrangement) -> None:
    """Write the loops of one arrangement."""
    {"flat": _flat, "rows": _rows, "columns": columns, "split": _split}[plan.kind](writer, plan)


def _flat(w: Writer, p: Arrangement) -> None:
    loop = p.register
    along, beside = in_range(w.nest.stores, loop)
    w.add(f"const int64_t blocks = ({loop.name} + GRAIN - 1) / GRAIN;")
    w.add("#pragma omp parallel")
    with w.block(""):
        w.add("#pragma omp for schedule(static)")
        flat = "block" if not p.kept else "task"
        total = "blocks" if not p.kept else f"{product(p.kept)} * blocks"
        with w.block(f"for (int64_t {flat} = 0; {flat} < {total}; ++{flat})"):
            if p.kept:
                w.add("const int64_t outer = task / blocks, block = task % blocks;")
                w.decode("outer", p.kept)
            w.add("const int64_t begin = block * GRAIN;")
            w.add(f"const int64_t end = begin + GRAIN < {loop.name} ? begin + GRAIN : {loop.name};")
            if along:
                store_sweep(w, along, p, "begin", "end")
            if beside:
                raise Unsupported("outputs of different sizes in one pointwise loop")
        w.add("streams_done();")


def _rows(w: Writer, p: Arrangement) -> None:
    varying, scalars = row_stores(w.nest, p.reduced)
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
        with w.block(f"for (int64_t row = 0; row < {product(p.kept)}; ++row)"):
            w.decode("row", p.kept)
            _row_passes(w, p, varying)
            store_scalars(w, scalars)
            for fold in p.final:
                done = w.write(emit([fold.expr], w.scalar_load, vector=False, real=w.real, known=w.scalars))
                value = f"double({done.results[0]})"
                w.add(f"{fold.name}_mine = {combine_double(fold, f'{fold.name}_mine', value)};")
        for fold in p.final:
            w.add(f"{fold.name}_of[omp_get_thread_num()] = {fold.name}_mine;")
        if p.final:
            w.add("#pragma omp single", "team = omp_get_num_threads();")
        w.add("streams_done();")
    finish(w, p, last)


def keepable(nest: Nest, p: Arrangement) -> list[Expr]:
    """Expensive values that the last reducing pass and the writing pass of a row both need."""
    varying, _ = row_stores(nest, p.reduced)
    if p.kind != "rows" or not varying or p.reduced != (p.register,):
        return []
    later = {e.key for e in walk(*(s.expr for s in varying))}
    shared = [e for e in walk(*(f.expr for f in levels(p.row)[-1])) if e.key in later and e.kind == "real"]
    shared = [e for e in shared if p.register in nest.free(e) and weight(e) >= KEEP_WEIGHT]
    inner = {e.key for s in shared for e in walk(*s.args)}
    return [e for e in shared if e.key not in inner]


def _row_passes(w: Writer, p: Arrangement, varying: Sequence[Store]) -> None:
    """Every pass over one row that one thread owns."""
    walked = [loop for loop in p.reduced if loop is not p.register]
    passes = levels(p.row)
    ahead = _next_row(w, p, passes[0])
    for number, folds in enumerate(passes):
        w.add(f"// pass {number + 1}: " + ", ".join(f"{f.name} = {f.op} {f.expr}" for f in folds))
        w.hoist([f.expr for f in folds], w.index.keys())
        for fold in folds:
            w.add(f"{total_type(fold)} {fold.name}_all = {IDENTITY[fold.op]};")
        with w.open_loops(walked):
            long = p.register.extent[0] > 16384 or len(set(p.register.extent)) > 1
            totals = [f"{f.name}_all" for f in folds]
            keep = w.kept if number == len(passes) - 1 else {}
            fetch = ahead if number == 1 else {}
            if long:
                with w.block(f"for (int64_t begin = 0; begin < {p.register.name}; begin += CHUNK)"):
                    w.add(
                        f"const int64_t end = begin + CHUNK < {p.register.name} ? begin + CHUNK : {p.register.name};"
                    )
                    fold_sweep(w, folds, p, "begin", "end", totals, keep, fetch)
            else:
                with contextlib.nullcontext() if walked else w.block(""):
                    fold_sweep(w, folds, p, "0", p.register.name, totals, keep, fetch)
        for fold in folds:
            w.add(f"const real {fold.name} = real({fold.name}_all);")
    if varying:
        along, beside = in_range(varying, p.register)
        if beside:
            raise Unsupported("outputs over different parts of a row")
        w.add(f"// pass {len(passes) + 1}: the row is still in cache")
        for key, name in w.kept.items():
            w.vectors[key] = f"load({name} + k)"
        w.hoist([s.expr for s in along], w.index.keys())
        with w.open_loops(walked):
            store_sweep(w, along, p, "0", p.register.name, ahead if len(passes) == 1 else {})


def _next_row(w: Writer, p: Arrangement, first: Sequence[Fold]) -> dict[str, str]:
    """How far ahead the next row lies, for each load of the first pass that reads its row in order."""
    if not p.kept or p.reduced != (p.register,):
        return {}
    found = {}
    for name in w.nest.names(*(f.expr for f in first)):
        access = w.nest.loads.get(name)
        if access is None or not access.tensor or access.pick:
            continue
        if access.along(p.register) == 1 and p.kept[-1] in access.strides:
            found[name] = w.nest.text(access.strides[p.kept[-1]])
    return found


def _split(w: Writer, p: Arrangement) -> None:
    varying, scalars = row_stores(w.nest, p.reduced)
    walked = [loop for loop in p.reduced if loop is not p.register]
    for fold in p.row:
        w.add(f"double {fold.name}_of[THREADS];")
    with w.open_loops(p.kept):
        w.add("#pragma omp parallel num_threads(threads())")
        with w.block(""):
            w.add("const int64_t me = omp_get_thread_num(), team = omp_get_num_threads();")
            w.add(f"const int64_t chunks = ({p.register.name} + CHUNK - 1) / CHUNK;")
            total = f"{product(walked)} * chunks" if walked else "chunks"
            w.add(f"const int64_t first = {total} * me / team, last = {total} * (me + 1) / team;")
            passes = levels(p.row)
            for number, folds in enumerate(passes):
                w.add(f"// pass {number + 1}: " + ", ".join(f"{f.name} = {f.op} {f.expr}" for f in folds))
                for fold in folds:
                    w.add(f"double {fold.name}_mine = {IDENTITY[fold.op]};")
                with w.block("for (int64_t piece = first; piece < last; ++piece)"):
                    _piece(w, p, walked)
                    names = [f"{f.name}_mine" for f in folds]
                    fold_sweep(w, folds, p, "begin", "end", names)
                w.add(*(f"{f.name}_of[me] = {f.name}_mine;" for f in folds))
                w.add("#pragma omp barrier")
                for fold in folds:
                    w.add(f"double {fold.name}_all = {IDENTITY[fold.op]};")
                    joined = combine_double(fold, f"{fold.name}_all", f"{fold.name}_of[t]")
                    w.add(f"for (int64_t t = 0; t < team; ++t) {fold.name}_all = {joined};")
                    w.add(f"[[maybe_unused]] const real {fold.name} = real({fold.name}_all);")
            if varying:
                w.add(f"// pass {len(passes) + 1}: each thread writes the part it has just read")
                with w.block("for (int64_t piece = first; piece < last; ++piece)"):
                    _piece(w, p, walked)
                    store_sweep(w, varying, p, "begin", "end")
                w.add("streams_done();")
            if scalars:
                with w.block("if (me == 0)"):
                    store_scalars(w, scalars)


def _piece(w: Writer, p: Arrangement, walked: Sequence[Loop]) -> None:
    if walked:
        w.add("const int64_t outer = piece / chunks, chunk = piece % chunks;")
        w.decode("outer", walked)
    w.add(f"const int64_t begin = {'chunk' if walked else 'piece'} * CHUNK;")
    w.add(f"const int64_t end = begin + CHUNK < {p.register.name} ? begin + CHUNK : {p.register.name};")
