"""Max and average pooling over one, two or three dimensions, adaptive average pooling included.

A window is separable: the maximum (or sum) over its rows is taken first, for a whole input row at a time and so on
full registers, then over its columns. Every input row is read from memory once; what pooling windows share is
re-read from the nearest cache. The window is fixed; the sizes of images and batch may vary between workloads.
"""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kopt.agents.offline import width
from kopt.agents.offline.axes import Size
from kopt.agents.offline.contraction import tile
from kopt.agents.offline.cppfile import cpp_candidate, cpp_file
from kopt.agents.offline.epilogue import Epilogue
from kopt.agents.offline.gpu import pooling as triton
from kopt.agents.offline.graph import Graph, Node, Ref, Unsupported
from kopt.agents.offline.plan import in_triton
from kopt.agents.offline.windows import WINDOW_COUNT, Sizes, Slide, extent, named_outputs, product
from kopt.words import Candidate, Tunable

_OPS = {
    f"aten.{kind}_pool{rank}d.default": (kind, rank)
    for kind in ("max", "avg", "adaptive_avg")
    for rank in (1, 2, 3)
}
MAX_ROW = 32768
MANY_PLANES = 64
"""With at least this many planes, planes alone are enough parallel work."""


def recognise(graph: Graph) -> Plan | None:
    """A plan for graphs that are one pooling, possibly followed by pointwise operations."""
    nodes = [n for n in graph.live() if n.op in _OPS]
    if not nodes:
        return None
    if len(nodes) > 1:
        raise Unsupported(f"{len(nodes)} poolings in one graph: only a single one is fused")
    node = nodes[0]
    source = node.args["self"]
    if not isinstance(source, Ref) or source.name not in (*graph.inputs, *graph.state):
        raise Unsupported("the pooled tensor is computed first; pooling is not fused with what precedes it")
    value = graph.values[source.name]
    if not value.contiguous:
        raise Unsupported("pooling reads rows of a contiguous tensor; this input has other strides")
    if value.dtype not in ("float32", "float64", "float16", "bfloat16"):
        raise Unsupported(f"pooling of {value.dtype} is not generated")
    window = _window(graph, node)
    if max(window.size[2]) > MAX_ROW:
        raise Unsupported(f"rows of {max(window.size[2])} elements do not fit the nearest caches")
    sizes = _sizes(graph, window)
    # The kernel knows the output's size, and so how far apart its rows are, by name.
    named = named_outputs("DHW", window.out)
    tail = Epilogue(dataclasses.replace(graph, sizes=named), node.name)
    tail.merge(len(tail.dims) - window.rank, *(1 for _ in range(window.rank)))
    made = Plan(graph, window, sizes, tail)
    made.source()  # says now if it cannot be written
    return made


@dataclass(frozen=True)
class Window:
    """The geometry, always three spatial dimensions (leading ones of size 1 where there are fewer).

    Sizes are given in every trace; the window is the same in all.
    """

    kind: str
    source: str
    planes: Size
    size: tuple[Size, ...]
    out: tuple[Size, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]
    rank: int = 2
    ceil: bool = False
    include_pad: bool = True
    divisor: int | None = None

    @property
    def even(self) -> int | None:
        """What the sum over any window is divided by; None where those that leave the image may count fewer."""
        if self.divisor is not None:
            return self.divisor
        # no window hangs over; where sizes vary, only the rounding can promise it
        whole = not self.ceil or all(
            len(set(i)) == 1 and (o[0] - 1) * s - p + k <= i[0] + p
            for o, s, p, k, i in zip(self.out, self.stride, self.pad, self.kernel, self.size, strict=True)
        )
        return math.prod(self.kernel) if whole and (self.include_pad or not any(self.pad)) else None

    @property
    def slides(self) -> tuple[Slide, ...]:
        """The window along each axis."""
        return tuple(
            Slide(k, s, p, d, self.ceil)
            for k, s, p, d in zip(self.kernel, self.stride, self.pad, self.dilation, strict=True)
        )


def _window(graph: Graph, node: Node) -> Window:
    kind, rank = _OPS[node.op]
    source = node.args["self"].name
    value, result = graph.values[source], graph.values[node.name]
    lead = len(value.shape) - rank
    sizes = [value.extents(lead + d) for d in range(rank)]
    outs = [result.extents(lead + d) for d in range(rank)]
    arguments = node.args
    if kind == "adaptive_avg":
        if any(len(set(n)) > 1 for n in sizes):
            raise Unsupported("adaptive pooling of images whose size varies: so do its windows")
        if any(n[0] % o[0] for n, o in zip(sizes, outs, strict=True)):
            raise Unsupported("adaptive pooling with bins of unequal size is not generated")
        kernel = stride = tuple(n[0] // o[0] for n, o in zip(sizes, outs, strict=True))
        pad, dilation = (0,) * rank, (1,) * rank
    else:
        kernel = _each(arguments["kernel_size"], rank)
        stride = _each(arguments["stride"] or kernel, rank)
        pad = _each(arguments["padding"], rank)
        dilation = _each(arguments["dilation"], rank) if kind == "max" else (1,) * rank
    divisor = arguments.get("divisor_override")
    missing = 3 - rank
    once = ((1,) * len(value.shapes),) * missing
    ones, zeros = (1,) * missing, (0,) * missing
    return Window(
        kind="max" if kind == "max" else "avg",
        source=source,
        planes=tuple(math.prod(shape[:lead]) for shape in value.shapes),
        size=(*once, *sizes),
        out=(*once, *outs),
        kernel=ones + kernel,
        stride=ones + stride,
        pad=zeros + pad,
        dilation=ones + dilation,
        rank=rank,
        ceil=bool(arguments.get("ceil_mode", False)),
        include_pad=bool(arguments.get("count_include_pad", True)),
        divisor=None if divisor is None else int(divisor),
    )


def _sizes(graph: Graph, w: Window) -> Sizes:
    """What the kernel calls its sizes."""
    rank = len(graph.values[w.source].shape)
    lead, missing = rank - w.rank, 3 - w.rank
    size = ["1"] * missing + [extent(graph, w.source, lead + d) for d in range(w.rank)]
    made = Sizes()
    made.put({"PLANES": product([extent(graph, w.source, d) for d in range(lead)])})
    made.put_window("DHW", size, w.size, w.out, w.slides)
    made.put({"SPAN": "((OW - 1) * SW + (KW - 1) * DW) / SW + 1"}, "columns of one phase")
    made.put({"PHASE": "(SPAN + 2 * W) / W * W"})
    made.put({"LINE": "(std::max(PW + (IW + W - 1) / W * W, PHASE * SW) + 2 * W - 1) / W * W"})
    made.put({"BAND": "(OH + BANDS - 1) / BANDS"}, "output rows of a band")
    return made


def _each(value: Any, rank: int) -> tuple[int, ...]:
    items = tuple(int(n) for n in value) if isinstance(value, tuple) else (int(value),)
    return items * rank if len(items) == 1 else items


@dataclass
class Plan:
    """One pooling kernel, with or without streaming stores."""

    graph: Graph
    window: Window
    sizes: Sizes
    epilogue: Epilogue
    title: str = field(init=False)
    reason: str = field(init=False)

    def __post_init__(self) -> None:
        self.title = f"{self.window.rank}-dimensional {self.window.kind} pooling{self.epilogue.suffix}"
        self.reason = "rows on full registers, each input row read once, one pass over memory"

    @property
    def tunables(self) -> tuple[Tunable, ...]:
        """Streaming stores, the registers' width, and bands of output rows where planes may be too little work."""
        bands = 1 if self.window.planes[0] >= MANY_PLANES else 8
        return (
            Tunable(name="STREAM", choices=(0, 1), default=0),
            Tunable(name="BANDS", choices=(1, 2, 4, 8), default=bands),
            *width.tunables(),
        )

    def candidates(self) -> Iterator[Candidate]:
        """The C++ kernel; then the Triton kernel.

        Raises:
            Unsupported: after the C++ kernel, where there can be no Triton kernel.
        """
        yield cpp_candidate(
            self.source(), tunables=self.tunables, notes={"plan": self.title, "why": self.reason}
        )
        yield in_triton(triton.candidate, self)

    def source(self) -> str:
        """The C++ file."""
        w, e = self.window, self.epilogue
        pick = "maximum of" if w.kind == "max" else "sum over"
        comment = [
            f"{e.text('max' if w.kind == 'max' else 'mean')} over the window at each output; window {_by(w.kernel)}, "
            f"stride {_by(w.stride)}, padding {_by(w.pad)}, dilation {_by(w.dilation)} (depth x height x width).",
            "Launch: threads share the PLANES planes, each in BANDS bands of output rows.",
            f"A window is separable: first the {pick} its rows, a whole input row at a time in full registers; then "
            "over its columns.",
        ]
        if w.stride[2] > 1:
            comment.append(
                f"The row is then split by column modulo the stride {w.stride[2]}, so that one window column of "
                "neighbouring outputs is one contiguous load."
            )
        if w.kind == "max":
            comment.append("NaN wins every comparison, as in torch; padding is -infinity.")
        combine = "v_maximum(a, b)" if w.kind == "max" else "a + b"
        functions = (
            "\n".join(self.sizes.constants)
            + (WINDOW_COUNT if w.ceil and self.sizes.variables else "")
            + f"\nstatic inline vec combine(vec a, vec b) {{ return {combine}; }}\n"
            + (tile.SCRATCH if self.sizes.varies("LINE") else "")
            + _ROWS
            + _split(w)
            + (_COUNTED.format(*_COUNTS[w.include_pad]) if "columns" in _divide(w) else "")
            + (_COLUMNS if w.stride[2] == 1 else _PHASES)
        )
        return cpp_file(
            self.graph,
            title=self.title,
            comment=comment,
            functions=functions,
            body=[*self.sizes.variables, *self._body()],
            helpers={"partial", "stream", *(("maximum",) if w.kind == "max" else ()), *e.helpers},
            tunables=self.tunables,
            includes=(*tile.INCLUDES, "<type_traits>"),
            used={w.source, *e.parameters},
            meanings={
                "STREAM": "output bypasses the caches",
                "BANDS": "parallel bands of a plane",
                **width.MEANING,
            },
        )

    def _body(self) -> list[str]:
        w, e = self.window, self.epilogue
        divide = _divide(w)
        split = w.stride[2] > 1
        counts = "columns" in divide
        buffers = {
            "line": "LINE",
            **({"phases": "SW * PHASE"} if split else {}),
            **({"columns": "PHASE"} if counts else {}),
        }
        index = ["plane", *{1: [], 2: ["oh"], 3: ["od", "oh"]}[w.rank]]
        value = f"combine_columns({'phases, PHASE' if split else 'line'}, j){divide}"
        row = e.loop(index, w.out[2], "OW", value, stream="STREAM")
        body = _BODY.replace("@SOURCE@", w.source).replace("@IDENTITY@", _IDENTITY[w.kind])
        held = _held(buffers) if self.sizes.varies("LINE") else _on_stack(buffers)
        body = body.replace("@BUFFERS@", held + (_COLUMN_COUNTS if counts else ""))
        body = body.replace("@SPLIT@", "      split(line, phases, SPAN, PHASE);\n" if split else "")
        body = body.replace("@INSIDE@", _ROWS_INSIDE if counts else "")
        return body.replace("@ROW@", textwrap.indent("\n".join(row), " " * 6)).strip("\n").split("\n")


def _on_stack(buffers: Mapping[str, str]) -> str:
    sized = ", ".join(f"{name}[{size}]" for name, size in buffers.items())
    return f"  alignas(REGISTER) real {sized};\n"


def _held(buffers: Mapping[str, str]) -> str:
    """Buffers of sizes that are known only now."""
    lines, last = [], ""
    for name, size in buffers.items():
        at = last or f"scratch<0>({' + '.join(buffers.values())})"
        lines.append(f"  real* __restrict const {name} = {at};\n")
        last = f"{name} + {size}"
    return "".join(lines)


_IDENTITY = {"max": "-__builtin_inf()", "avg": "0"}
_COUNTS = {
    True: ("; padding counts", "to - from"),
    False: ("", "std::min(to, size) - std::max<int64_t>(from, 0)"),
}

_ROWS = """
// line[j] = combination over the window's rows of their column j < width.
template <class T>
static inline void combine_rows(const T* const* rows, int64_t count, int64_t width, real* __restrict line) {
  const auto pass = [=](auto n) {
    const auto at = [=](int64_t j) {
      vec v = load(rows[0] + j);
      for (int64_t k = 1; k < n; ++k) v = combine(v, load(rows[k] + j));
      store(line + j, v);
    };
    for (int64_t j = 0; j + W <= width; j += W) at(j);
    if (width < W) {
      vec v = load_part(rows[0], width);
      for (int64_t k = 1; k < n; ++k) v = combine(v, load_part(rows[k], width));
      store_part(line, v, width);
    } else if (width % W) at(width - W);  // overlaps the one before
  };
  if (count == KD * KH) pass(std::integral_constant<int64_t, KD * KH>{});  // inside: the compiler unrolls
  else if (count > 0) pass(count);
}
"""

_COLUMNS = """
// W neighbouring outputs from column j on.
static inline vec combine_columns(const real* line, int64_t j) {
  vec v = load(line + j);
#pragma GCC unroll 16
  for (int64_t k = 1; k < KW; ++k) v = combine(v, load(line + j + k * DW));
  return v;
}
"""

_PHASES = """
// W neighbouring outputs from column j on.
static inline vec combine_columns(const real* phases, int64_t phase, int64_t j) {
  vec v = load(phases + j);
#pragma GCC unroll 16
  for (int64_t k = 1; k < KW; ++k) v = combine(v, load(phases + (k * DW % SW) * phase + j + k * DW / SW));
  return v;
}
"""

_BODY = """
#pragma omp parallel
{
@BUFFERS@#pragma omp for collapse(2) schedule(static)
  for (int64_t plane = 0; plane < PLANES; ++plane)
  for (int64_t band = 0; band < BANDS; ++band) {
    std::fill(line, line + LINE, real(@IDENTITY@));
    const auto* const x = @SOURCE@_p + plane * (ID * IH * IW);
    for (int64_t od = 0; od < OD; ++od)
    for (int64_t oh = band * BAND; oh < std::min<int64_t>(OH, (band + 1) * BAND); ++oh) {
      decltype(+x) rows[KD * KH];  // the window's rows that lie inside the plane
      int64_t count = 0;
      for (int64_t kd = 0; kd < KD; ++kd)
      for (int64_t kh = 0; kh < KH; ++kh) {
        const int64_t id = od * SD - PD + kd * DD, ih = oh * SH - PH + kh * DH;
        if (id >= 0 && id < ID && ih >= 0 && ih < IH) rows[count++] = x + (id * IH + ih) * IW;
      }
      combine_rows(rows, count, IW, line + PW);
@SPLIT@@INSIDE@@ROW@
    }
  }
}
if (STREAM) streams_done();
"""

_COLUMN_COUNTS = """  for (int64_t j = 0; j < PHASE; ++j) columns[j] = real(counted(j, KW, SW, PW, IW));
"""
_ROWS_INSIDE = """      const real inside = real(counted(od, KD, SD, PD, ID) * counted(oh, KH, SH, PH, IH));
"""
_COUNTED = """
// Elements of window o along one axis that the divisor counts{0}.
static inline int64_t counted(int64_t o, int64_t k, int64_t s, int64_t p, int64_t size) {{
  const int64_t from = o * s - p, to = std::min(from + k, size + p);
  return std::max<int64_t>(1, {1});
}}
"""


def _divide(w: Window) -> str:
    if w.kind == "max":
        return ""
    if w.even is not None:
        return f" / real({w.even})"
    return " / (inside * load(columns + j))"


def _split(w: Window) -> str:
    if w.stride[2] == 1:
        return ""
    if w.stride[2] == 2:
        return _SPLIT2
    return _SPLIT


_SPLIT2 = """
// phases[p * phase + j] = line[2 j + p]
static inline void split(const real* __restrict line, real* __restrict phases, int64_t span, int64_t phase) {
  mask even;
  for (int i = 0; i < W; ++i) even[i] = 2 * i;
  for (int64_t j = 0; j < span; j += W) {
    const vec a = load(line + 2 * j), b = load(line + 2 * j + W);
    store(phases + j, __builtin_shuffle(a, b, even));
    store(phases + phase + j, __builtin_shuffle(a, b, even + 1));
  }
}
"""
_SPLIT = """
// phases[p * phase + j] = line[SW j + p]
static inline void split(const real* __restrict line, real* __restrict phases, int64_t span, int64_t phase) {
  for (int64_t j = 0; j < span; ++j)
    for (int64_t p = 0; p < SW; ++p) phases[p * phase + j] = line[SW * j + p];
}
"""


def _by(sizes: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in sizes)
