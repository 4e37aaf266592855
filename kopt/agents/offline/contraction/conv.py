"""Convolution over one or two dimensions as an implicit matrix product: weights times shifted input rows.

For output rows of a block, column c of the product's right side at k = (channel, row, column of the window) is the
input shifted by that window position. Nothing is unrolled to memory (no im2col): the block's input rows are copied
once, padded with zeros, into the nearest cache, and the micro-kernel reads each k at its own offset there. The window
is fixed; images, channels and filters may vary in number and size between workloads.
"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kopt.agents.offline.axes import Size
from kopt.agents.offline.contraction import tile
from kopt.agents.offline.cppfile import cpp_candidate, cpp_file
from kopt.agents.offline.epilogue import Epilogue
from kopt.agents.offline.gpu import conv as triton
from kopt.agents.offline.graph import Graph, Node, Ref, Unsupported, Value
from kopt.agents.offline.plan import in_triton
from kopt.agents.offline.windows import Sizes, Slide, extent, named_outputs
from kopt.words import Candidate, Tunable

OPS = {
    "aten.conv1d.default": 1,
    "aten.conv2d.default": 2,
    "aten.conv1d.padding": 1,
    "aten.conv2d.padding": 2,
}
L2_REALS = 160_000
"""Elements that the input rows and the results of a block may take together."""


@dataclass(frozen=True)
class Shape:
    """The geometry, always two spatial dimensions (height 1 for conv1d).

    Numbers are those of the first workload, which block sizes are chosen for; ``sizes`` and ``outs`` have all.
    """

    source: str
    weight: str
    bias: str | None
    rank: int
    images: int
    channels: int
    filters: int
    groups: int
    sizes: tuple[Size, Size]
    outs: tuple[Size, Size]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    dilation: tuple[int, int]
    same: bool

    @property
    def out(self) -> tuple[int, int]:
        """Height and width of the result."""
        return self.outs[0][0], self.outs[1][0]

    @property
    def slides(self) -> tuple[Slide, ...]:
        """The window along each axis."""
        return tuple(
            Slide(k, s, p, d, same=self.same)
            for k, s, p, d in zip(self.kernel, self.stride, self.pad, self.dilation, strict=True)
        )

    @property
    def pitch(self) -> int:
        """Columns of one copied row (of one stride phase)."""
        return self.out[1] + (self.kernel[1] - 1) * self.dilation[1] // self.stride[1]

    @property
    def window(self) -> int:
        """Elements of a window in one channel."""
        return self.kernel[0] * self.kernel[1]


def plan(graph: Graph, node: Node) -> Plan:
    """The plan for a convolution, or Unsupported with the reason."""
    shape = _shape(graph, node)
    sizes = _sizes(graph, shape)
    tail = Epilogue(dataclasses.replace(graph, sizes=named_outputs("HW", shape.outs)), node.name)
    tail.merge(1, 1, *((1, 1) if shape.rank == 2 else (1,)))
    made = Plan(graph, shape, sizes, tail)
    made.source()  # says now if it cannot be written
    return made


def _shape(graph: Graph, node: Node) -> Shape:
    rank = OPS[node.op]
    names = {}
    for role in ("input", "weight", "bias"):
        held = node.args.get(role)
        if held is None:
            continue
        if not isinstance(held, Ref) or held.name not in (*graph.inputs, *graph.state):
            raise Unsupported(f"the convolution's {role} is computed first; only what follows it is fused")
        if not graph.values[held.name].contiguous:
            raise Unsupported(f"the convolution's {role} is not contiguous")
        names[role] = held.name
    x, w, out = (graph.values[n] for n in (names["input"], names["weight"], node.name))
    if len(x.shape) != rank + 2:
        raise Unsupported("a convolution without a batch dimension")
    if len({x.dtype, w.dtype, out.dtype}) > 1 or x.dtype not in ("float32", "float64", "float16", "bfloat16"):
        raise Unsupported(f"convolution of {x.dtype} with {w.dtype} is not generated")
    groups = int(node.args["groups"])
    if w.shape[0] // groups < 4:
        raise Unsupported(f"{w.shape[0] // groups} filter(s) per group: too few for a register tile")
    stride, dilation = _two(node.args["stride"], rank, 1), _two(node.args["dilation"], rank, 1)
    if len({s[2:] for s in w.shapes}) > 1:
        raise Unsupported("the window of the convolution varies")
    kernel = _two(w.shape[2:], rank, 1)
    padding = node.args["padding"]
    same = padding == "same"
    if padding == "valid":
        padding = (0,) * rank
    elif same:
        padding = tuple(d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True))[-rank:]
    return Shape(
        source=names["input"],
        weight=names["weight"],
        bias=names.get("bias"),
        rank=rank,
        images=x.shape[0],
        channels=x.shape[1],
        filters=w.shape[0],
        groups=groups,
        sizes=_extents(x, rank),
        outs=_extents(out, rank),
        kernel=kernel,
        stride=stride,
        pad=_two(padding, rank, 0),
        dilation=dilation,
        same=same,
    )


def _sizes(graph: Graph, s: Shape) -> Sizes:
    """What the kernel calls its sizes."""
    made = Sizes()
    channels, filters = extent(graph, s.source, 1), extent(graph, s.weight, 0)
    made.put({"IMAGES": extent(graph, s.source, 0), "GROUPS": str(s.groups)})
    made.put(
        {"CG": _shared(channels, s.groups), "OG": _shared(filters, s.groups)}, "channels, filters per group"
    )
    size = [*(["1"] if s.rank == 1 else []), *(extent(graph, s.source, 2 + d) for d in range(s.rank))]
    made.put_window("HW", size, s.sizes, s.outs, s.slides)
    made.put({"DEPTH": "CG * KH * KW", "PANELS": "(OG + MR - 1) / MR"})
    made.put({"MOST": "std::max<int64_t>(1, KC / (KH * KW))"})
    made.put({"CHANNELS": "std::min<int64_t>(CG, MOST)"}, "per pass over k")
    made.put({"BLOCK": "std::min<int64_t>(ROWS, OH)"})
    made.put({"HIGH": "BLOCK + (KH - 1) * DH / SH", "PITCH": "OW + (KW - 1) * DW / SW"})
    made.put({"PHASE": "HIGH * PITCH", "CHANNEL": "SH * SW * PHASE"}, "one stride phase, all of a channel's")
    made.put(
        {"PITCHED": "((BLOCK - 1) * PITCH + OW + NV * W - 1) / (NV * W) * (NV * W)"}, "results of a filter"
    )
    return made


def _shared(text: str, groups: int) -> str:
    if text.isdigit():
        return str(int(text) // groups)
    return text if groups == 1 else f"{text} / {groups}"


def _extents(value: Value, rank: int) -> tuple[Size, Size]:
    """Height and width in every trace."""
    if rank == 1:
        return (1,) * len(value.shapes), value.extents(2)
    return value.extents(2), value.extents(3)


def _two(value: Any, rank: int, lead: int) -> tuple[int, int]:
    items = tuple(int(n) for n in value) if isinstance(value, tuple) else (int(value),)
    if len(items) == 1:
        items *= rank
    return (lead, items[0]) if rank == 1 else (items[0], items[1])


@dataclass
class Plan:
    """One convolution kernel; block sizes are tunables."""

    graph: Graph
    shape: Shape
    sizes: Sizes
    after: Epilogue
    title: str = field(init=False)
    reason: str = field(init=False)

    def __post_init__(self) -> None:
        s = self.shape
        self.title = f"{s.rank}-dimensional convolution {s.kernel[0]}x{s.kernel[1]}{self.after.suffix}"
        self.reason = (
            "implicit matrix product on register tiles; what follows is done while results are in cache"
        )

    @property
    def tunables(self) -> tuple[Tunable, ...]:
        """Register tile, depth and output rows per block."""
        s = self.shape
        filters = s.filters // s.groups
        depth = max(64, min(384, 98_304 // max(filters, 1)))
        rows = tile.balanced_rows(filters)
        best = sorted(range(1, s.out[0] + 1), key=self._cost)[:4]
        choices = tuple(sorted(set(best)))
        return (*tile.tunables(rows, depth), Tunable(name="ROWS", choices=choices, default=best[0]))

    def _cost(self, rows: int) -> float:
        """Relative cost of blocks of that many output rows: lanes that compute nothing, and rows copied twice."""
        s = self.shape
        lanes, total, copied = 32, 0.0, 0.0
        reach = (s.kernel[0] - 1) * s.dilation[0] // s.stride[0]
        for first in range(0, s.out[0], rows):
            held = min(rows, s.out[0] - first)
            total += -(-((held - 1) * s.pitch + s.out[1]) // lanes) * lanes
            copied += (rows + reach) * s.pitch * s.stride[0] * s.stride[1]
        blocks = -(-s.out[0] // rows) * s.images
        memory = (rows + reach) * s.pitch * s.stride[0] * s.stride[1] * min(s.channels // s.groups, 64)
        memory += s.filters // s.groups * rows * s.pitch
        work = total / (s.out[0] * s.out[1]) + copied / (s.out[0] * s.out[1]) * 8 / (
            s.window * s.filters / s.groups
        )
        return work * (2 if memory > L2_REALS else 1) * (1.3 if blocks < 8 else 1)

    def candidates(self) -> Iterator[Candidate]:
        """The C++ kernel with the schedule that wastes least, then the Triton kernel; the rest is tuning.

        Raises:
            Unsupported: after the C++ kernel, where there can be no Triton kernel.
        """
        yield cpp_candidate(
            self.source(), tunables=self.tunables, notes={"plan": self.title, "why": self.reason}
        )
        yield in_triton(triton.candidate, self)

    def source(self) -> str:
        """The C++ file."""
        s, e = self.shape, self.after
        index = ["image", "(group * OG + o)", *(["(top + r)"] if s.rank == 2 else [])]
        value = "load(sums + o * PITCHED + r * PITCH + j)" + (" + bias" if s.bias else "")
        store = e.loop(index, s.outs[1], "OW", value)
        if s.bias:
            store.insert(0, f"const vec bias = splat(get({s.bias}_p + group * OG + o));")
        body = _BODY.replace("@X@", s.source).replace("@W@", s.weight)
        body = body.replace("@STORE@", textwrap.indent("\n".join(store), " " * 10))
        comment = [
            f"{e.text('y')}; y[n, o] = "
            + ("bias[o] + " if s.bias else "")
            + f"sum over channels c and the {s.kernel[0]}x{s.kernel[1]} window of weight[o, c] * x[n, c] shifted.",
            "Launch: the weights are packed once into panels of MR filters; then threads share (image, block of ROWS "
            "output rows).",
            "A block's input rows are copied with their zero padding into cache. Output rows are PITCH apart there, as "
            "input rows are, so a block is one flat run of positions and the micro-kernel needs no edge cases: the few "
            "positions between rows are computed and never stored.",
        ]
        if s.stride != (1, 1):
            comment.append(
                "Rows and columns are split by their remainder modulo the stride, so loads stay contiguous."
            )
        return cpp_file(
            self.graph,
            title=self.title,
            comment=comment,
            functions="\n".join(self.sizes.constants) + "\n" + tile.SCRATCH + tile.MULTIPLY,
            body=[*self.sizes.variables, *body.strip("\n").split("\n")],
            helpers=e.helpers,
            tunables=self.tunables,
            includes=tile.INCLUDES,
            used={s.source, s.weight, *([s.bias] if s.bias else []), *e.parameters},
            meanings={**tile.MEANINGS, "ROWS": "output rows per block"},
        )


_BODY = """
int32_t places[MOST * KH * KW];  // where window position k lies in the copied rows
for (int64_t c = 0, k = 0; c < CHANNELS; ++c)
  for (int64_t kh = 0; kh < KH; ++kh)
    for (int64_t kw = 0; kw < KW; ++kw, ++k)
      places[k] = c * CHANNEL + (kh * DH % SH * SW + kw * DW % SW) * PHASE + kh * DH / SH * PITCH + kw * DW / SW;
real* const panels = scratch<0>(GROUPS * PANELS * MR * DEPTH);
#pragma omp parallel
{
#pragma omp for schedule(static)
  for (int64_t p = 0; p < GROUPS * PANELS; ++p) {
    const int64_t group = p / PANELS, first = p % PANELS * MR;
    for (int64_t i = 0; i < MR; ++i)
      for (int64_t k = 0; k < DEPTH; ++k)
        panels[(p * DEPTH + k) * MR + i] = first + i < OG ? get(@W@_p + (group * OG + first + i) * DEPTH + k) : 0;
  }
  const int64_t ROOM = (CHANNELS * CHANNEL + 2 * NR + W) / W * W;
  real* const rows = scratch<1>(ROOM + PANELS * MR * PITCHED + W);
  real* const sums = rows + ROOM;
#pragma omp for collapse(3) schedule(static)
  for (int64_t image = 0; image < IMAGES; ++image)
  for (int64_t group = 0; group < GROUPS; ++group)
  for (int64_t top = 0; top < OH; top += BLOCK) {
    const int64_t high = std::min(BLOCK, OH - top), flat = (high - 1) * PITCH + OW;
    for (int64_t from = 0; from < CG; from += CHANNELS) {
      const int64_t channels = std::min(CHANNELS, CG - from);
      for (int64_t c = 0; c < channels; ++c)
      for (int64_t ph = 0; ph < SH; ++ph)
      for (int64_t q = 0; q < HIGH; ++q)
      for (int64_t pw = 0; pw < SW; ++pw) {
        real* const to = rows + c * CHANNEL + (ph * SW + pw) * PHASE + q * PITCH;
        const int64_t ih = (top + q) * SH + ph - PH;
        // Columns whose input column j * SW + pw - PW exists.
        const int64_t low = std::clamp<int64_t>((PW - pw + SW - 1) / SW, 0, PITCH);
        const int64_t end = ih < 0 || ih >= IH ? low : std::clamp<int64_t>((IW + PW - pw + SW - 1) / SW, low, PITCH);
        const auto* const x = @X@_p + (((image * GROUPS + group) * CG + from + c) * IH + ih) * IW + pw - PW;
        for (int64_t j = 0; j < low; ++j) to[j] = 0;
        for (int64_t j = low; j < end; ++j) to[j] = get(x + j * SW);
        for (int64_t j = end; j < PITCH; ++j) to[j] = 0;
      }
      const real* const weights = panels + (group * PANELS * DEPTH + from * KH * KW) * MR;
      for (int64_t j = 0; j < flat; j += NR)
        for (int64_t p = 0; p < PANELS; ++p)
          multiply(channels * KH * KW, panel(weights + p * MR * DEPTH), [&](int64_t k) { return rows + places[k] + j; },
                   sums + p * MR * PITCHED + j, PITCHED, from > 0);
    }
    for (int64_t o = 0; o < OG; ++o)
      for (int64_t r = 0; r < high; ++r) {
@STORE@
      }
  }
}
"""
