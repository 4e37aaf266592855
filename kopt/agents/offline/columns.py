"""The ``columns`` schedule: the register loop is kept, tiles of columns are reduced in the first-level cache."""

from __future__ import annotations

from collections.abc import Sequence

from kopt.agents.offline.arrangement import Arrangement
from kopt.agents.offline.emission import IDENTITY, Writer, combine
from kopt.agents.offline.expr import Expr, emit, walk
from kopt.agents.offline.nest import Fold
from kopt.agents.offline.passes import (
    LAMBDA,
    finish,
    fold_sweep,
    levels,
    loads,
    product,
    row_stores,
    store_sweep,
)

BLOCKED_SUM = 64
"""Terms a column sum adds up before it goes to a second level: keeps rounding errors as small as torch's cascade."""


def columns(w: Writer, p: Arrangement) -> None:
    """Write the loops: tiles of columns are shared out to the threads, each tile is walked once per pass."""
    varying, kept_stores = row_stores(w.nest, p.reduced)
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
        total = f"{product(p.kept)} * blocks" if p.kept else "blocks"
        with w.block(f"for (int64_t tile = 0; tile < {total}; ++tile)"):
            if p.kept:
                w.add("const int64_t outer = tile / blocks, block = tile % blocks;")
                w.decode("outer", p.kept)
            w.add(f"const int64_t begin = {'block' if p.kept else 'tile'} * BLOCK;")
            w.add(f"const int64_t end = begin + BLOCK < {loop.name} ? begin + BLOCK : {loop.name};")
            for number, folds in enumerate(levels(p.row)):
                w.add(f"// pass {number + 1}: " + ", ".join(f"{f.name} = {f.op} {f.expr}" for f in folds))
                _column_hoist(w, p, [f.expr for f in folds])
                _column_folds(w, p, folds)
            if varying:
                _column_hoist(w, p, [s.expr for s in varying])
                w.add("// last pass: the tile is still in cache")
                with w.open_loops(p.reduced):
                    store_sweep(w, varying, p, "begin", "end")
            if kept_stores:
                with w.block(""):
                    store_sweep(w, kept_stores, p, "begin", "end")
            for fold in p.final:
                with w.block(""):
                    fold_sweep(w, [fold], p, "begin", "end", [f"{fold.name}_mine"])
        for fold in p.final:
            w.add(f"{fold.name}_of[omp_get_thread_num()] = {fold.name}_mine;")
        if p.final:
            w.add("#pragma omp single", "team = omp_get_num_threads();")
        w.add("streams_done();")
    finish(w, p, last)


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
                pointers = w.pointers(loads(w, exprs), p.register, w.index.keys())
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
        _hoist_one(w, p, expr)


def _hoist_one(w: Writer, p: Arrangement, expr: Expr) -> None:
    name = f"t{expr.key}_k"
    w.add(f"alignas(64) real {name}[BLOCK + W];  // {expr}")
    with w.block(""):
        w.hoist([expr], w.index.keys())
        pointers = w.pointers(loads(w, [expr]), p.register, w.index.keys())
        with w.block(f"sweep(begin, end, {LAMBDA}", "});"):
            done = w.write(
                emit([expr], lambda e: w.vector_load(e, p.register, pointers), real=w.real, known=w.vectors)
            )
            w.add(f"store({name} + (k - begin), {done.results[0]});")
    w.vectors[expr.key] = f"load({name} + (k - begin))"
