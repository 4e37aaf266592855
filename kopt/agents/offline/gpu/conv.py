"""Convolutions in Triton: implicit matrix products, a program per tile of (filters, pixels of all images).

The second factor is never laid out: a row of it is an input channel at one position of the window, whose address
follows from k by division, and whose padding is a mask. Pixels are the tile's columns, so neighbouring lanes store
neighbouring results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kopt.agents.offline.gpu import rows, tiles
from kopt.agents.offline.gpu.file import Launch, triton_candidate
from kopt.agents.offline.gpu.kernel import Kernel
from kopt.agents.offline.graph import Graph
from kopt.agents.offline.windows import Slide, extent, product
from kopt.words import Candidate

if TYPE_CHECKING:
    from kopt.agents.offline.contraction.conv import Plan, Shape


def candidate(plan: Plan) -> Candidate:
    """The Triton candidate of a convolution.

    Raises:
        Unsupported: an operation behind it, or the precision, has no Triton form.
    """
    s, graph = plan.shape, plan.after.graph
    halves = tiles.half(graph, s.source)
    outs = [_size(axis, out) for axis, out in zip("HW", s.outs, strict=True)]
    each = [n // s.groups for n in graph.values[s.weight].extents(0)]
    filters, pixels = graph.size(each), product([extent(graph, s.source, 0), *outs])
    launch = Launch(
        _kernel(plan, graph, filters, pixels, outs),
        tiles.grid(filters, pixels, [str(s.groups)] if s.groups > 1 else []),
        tiles.CONSTANTS,
        options=tiles.OPTIONS,
    )
    widest = [n * h * w for n, h, w in zip(graph.values[s.source].extents(0), *s.outs, strict=True)]
    depth = (s.channels // s.groups * s.window,)
    return triton_candidate(
        graph,
        [launch],
        title=plan.title,
        why="implicit matrix product on tensor cores; what follows is done while results are in registers",
        comment=[
            f"{plan.after.text('y')}; y[n, o] = "
            + ("bias[o] + " if s.bias else "")
            + f"sum over channels c and the {s.kernel[0]}x{s.kernel[1]} window of weight[o, c] * x[n, c] shifted.",
            "Rows of a tile are filters, columns pixels of all images; k runs over channels and the window in each.",
            *tiles.comment(halves=halves),
        ],
        tunables=tiles.tunables(tuple(each), tuple(widest), depth, halves=halves),
        variables=_variables(s, graph),
        schedule=["tiles"],
    )


def _kernel(plan: Plan, graph: Graph, filters: str, pixels: str, outs: list[str]) -> Kernel:
    s, k = plan.shape, Kernel(graph)
    x, w, size = k.pointer(s.source), k.pointer(s.weight), k.size
    own, (oh, ow) = size(filters), (size(text) for text in outs)
    channels = size(extent(graph, s.weight, 1))
    depth = str(int(channels) * s.window) if channels.isdigit() else f"{channels} * {s.window}"
    ih = size(extent(graph, s.source, 2)) if s.rank == 2 else "1"
    iw = size(extent(graph, s.source, 1 + s.rank))
    group = "group" if s.groups > 1 else ""
    tiles.place(k, own, size(pixels), group)
    k.add(f"filters = {f'group * {own} + ' if group else ''}rows[:, None]")
    k.add(f"image, column = cols[None, :] // ({oh} * {ow}), cols[None, :] % {ow}")
    if s.rank == 2:
        k.add(f"row = cols[None, :] // {ow} % {oh}")
    first = f"image * {s.groups} + group" if group else "image"
    corner = [f"({first}) * {channels}", *([f"* {ih} + {_first('row', s.slides[0])}"] if s.rank == 2 else [])]
    k.add(f"image_at = {x} + ({' '.join(corner)}) * {iw} + {_first('column', s.slides[1])}")
    k.add("total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)")
    with k.block(f"for start in range(0, {depth}, BLOCK_K):"):
        k.add("k = start + tl.arange(0, BLOCK_K)")  # 32 bits, which are divided faster
        k.add(
            f"left = tl.load({w} + filters * ({depth}) + k[None, :], mask=rows_in & (k < {depth})[None, :], other=0)"
        )
        k.add(*_right(s, ih, iw, depth))
        k.add(f"total = {tiles.dot('left', 'right', 'total', halves=tiles.half(graph, s.source))}")
    if s.bias:
        k.add(f"total += tl.load({k.pointer(s.bias)} + filters, mask=rows_in, other=0).to(tl.float32)")
    index = ["image", "filters", *(["row"] if s.rank == 2 else []), "column"]
    mask = ["rows_in" if at == "filters" else "cols_in" for at in index]
    rows.finish(k, plan.after, index, mask, "total")
    return k


def _right(s: Shape, ih: str, iw: str, depth: str) -> list[str]:
    """The block of input pixels for ``k``."""
    inside = [f"(k < {depth})[:, None]", "cols_in"]
    if s.window == 1:
        lines, step = ["channel = k[:, None].to(tl.int64)"], f"channel * {ih} * {iw}"
    else:
        lines = [
            f"channel = (k[:, None] // {s.window}).to(tl.int64)",
            f"across_ = k[:, None] % {s.kernel[1]} * {s.dilation[1]}",
        ]
        step = "channel"
        if s.rank == 2:
            lines.append(f"down_ = k[:, None] // {s.kernel[1]} % {s.kernel[0]} * {s.dilation[0]}")
            step = f"(channel * {ih} + down_)"
        step += f" * {iw} + across_"
    for at, reach, stop, slide in (("row", "down_", ih, s.slides[0]), ("column", "across_", iw, s.slides[1])):
        if slide.pad or (slide.same and slide.kernel > 1):
            name = f"{at}_in"
            lines.append(f"{name} = {_first(at, slide)}" + (f" + {reach}" if s.window > 1 else ""))
            inside += [f"({name} >= 0)", f"({name} < {stop})"]
    return [*lines, f"right = tl.load(image_at + {step}, mask={' & '.join(inside)}, other=0)"]


def _first(at: str, slide: Slide) -> str:
    """The first input element of a window."""
    text = at if slide.stride == 1 else f"{at} * {slide.stride}"
    return f"{text} - {slide.pad}" if slide.pad else text


def _size(axis: str, outs: tuple[int, ...]) -> str:
    return str(outs[0]) if len(set(outs)) == 1 else f"O{axis}"


def _variables(s: Shape, graph: Graph) -> list[str]:
    """The output's sizes that vary, as torch computes them from the input's."""
    lines = []
    for axis, dim, outs, slide in zip("HW", (s.rank, s.rank + 1), s.outs, s.slides, strict=True):
        if len(set(outs)) > 1:
            held = extent(graph, s.source, dim)
            reach = 2 * slide.pad - slide.dilation * (slide.kernel - 1) - 1
            lines.append(f"O{axis} = " + (held if slide.same else f"({held} + {reach}) / {slide.stride} + 1"))
    return lines
