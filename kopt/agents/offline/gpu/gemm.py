"""Matrix products in Triton: a program per tile of the result, with the pointwise operations behind them.

Factors are read through their strides, so transposed ones cost nothing; edges are masked, so any size goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kopt.agents.offline.contraction.operands import Factor, product
from kopt.agents.offline.gpu import rows, tiles
from kopt.agents.offline.gpu.file import Launch, triton_candidate
from kopt.agents.offline.gpu.kernel import Kernel
from kopt.agents.offline.graph import Unsupported
from kopt.words import Candidate

if TYPE_CHECKING:
    from kopt.agents.offline.contraction.gemm import Plan


def candidate(plan: Plan) -> Candidate:
    """The Triton candidate of a matrix product.

    Raises:
        Unsupported: an operation behind it, or the precision, has no Triton form.
    """
    p, graph, k = plan.product, plan.graph, Kernel(plan.graph)
    size, halves = k.size, tiles.half(graph, p.a.parameter)
    if max(*p.rows, *p.columns) == 1:
        raise Unsupported("a product that is one number")
    tiles.place(k, size(p.rows), size(p.columns), "batch" if p.batch else "")
    k.add(f"left_at = {tiles.start(k, p.a, p.batch)} + {tiles.step(k, 'rows[:, None]', p.a.along)}")
    if isinstance(p.b, Factor):
        k.add(f"right_at = {tiles.start(k, p.b, p.batch)} + {tiles.step(k, 'cols[None, :]', p.b.along)}")
    k.add("total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)")
    depth = size(p.depth)
    with k.loop("start", "0", depth, "BLOCK_K"):
        k.add("k = start + tl.arange(0, BLOCK_K)")
        left = tiles.step(k, "k[None, :]", p.a.depth)
        k.add(f"left = tl.load(left_at + {left}, mask=rows_in & (k < {depth})[None, :], other=0)")
        if isinstance(p.b, Factor):
            right = tiles.step(k, "k[:, None]", p.b.depth)
            k.add(f"right = tl.load(right_at + {right}, mask=(k < {depth})[:, None] & cols_in, other=0)")
        else:
            k.add(f"k_in = (k < {depth})[:, None]")
            at, there = ["k[:, None]", "cols[None, :]"], ["k_in", "cols_in"]
            order = slice(None, None, -1 if p.transposed else 1)
            made = rows.evaluate(k, p.b, at[order], there[order])
            k.add(f"right = tl.where(k_in & cols_in, {made}, 0.0).to(left.dtype)")
        k.add(f"total = {tiles.dot('left', 'right', 'total', halves=halves)}")
    if p.added:
        k.add(f"total += tl.load({k.pointer(p.added)} + cols[None, :], mask=cols_in, other=0).to(tl.float32)")
    index, mask = ["rows[:, None]", "cols[None, :]"], ["rows_in", "cols_in"]
    if p.batch:
        index, mask = ["batch", *index], ["", *mask]
    rows.finish(k, plan.after, index, mask, "total")
    outer = [graph.size(product(p.batch))] if p.batch else []
    launch = Launch(
        k,
        tiles.grid(graph.size(p.rows), graph.size(p.columns), outer),
        tiles.CONSTANTS,
        options=tiles.OPTIONS,
    )
    return triton_candidate(
        graph,
        [launch],
        title=plan.title,
        why="tiles on tensor cores; what follows is done while results are in registers",
        comment=[
            f"{plan.after.text('y')}; y[i, j] = sum over k of a[i, k] * b[k, j]"
            + (f" + {p.added}[j]" if p.added else "")
            + f" with a = {p.a.parameter}, b = {p.second} read through their strides.",
            *tiles.comment(halves=halves),
        ],
        tunables=tiles.tunables(p.rows, p.columns, p.depth, halves=halves),
        schedule=["tiles"],
    )
