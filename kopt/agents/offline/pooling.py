"""Max and average pooling over one, two or three dimensions, adaptive average pooling included.

A window is separable: the maximum (or sum) over its rows is taken first, for a whole input row at a time and so on
full registers, then over its columns. Every input row is read from memory once; what pooling windows share is
re-read from the nearest cache.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kopt.agents.offline.cppfile import cpp_candidate, cpp_file
from kopt.agents.offline.epilogue import Epilogue
from kopt.agents.offline.graph import Graph, Node, Ref, Unsupported
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
    if graph.dynamic:
        raise Unsupported("pooling kernels are made for fixed sizes only")
    if not value.contiguous:
        raise Unsupported("pooling reads rows of a contiguous tensor; this input has other strides")
    if value.dtype not in ("float32", "float64", "float16", "bfloat16"):
        raise Unsupported(f"pooling of {value.dtype} is not generated")
    window, tail = _window(graph, node), Epilogue(graph, node.name)
    if window.size[2] > MAX_ROW:
        raise Unsupported(f"rows of {window.size[2]} elements do not fit the nearest caches")
    tail.merge(len(tail.dims) - window.rank, *(1 for _ in range(window.rank)))
    return Plan(graph, window, tail)


@dataclass(frozen=True)
class Window:
    """The geometry, always three spatial dimensions (leading ones of size 1 where there are fewer)."""

    kind: str
    source: str
    planes: int
    size: tuple[int, ...]
    out: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]
    rank: int = 2
    include_pad: bool = True
    divisor: int | None = None


def _window(graph: Graph, node: Node) -> Window:
    kind, rank = _OPS[node.op]
    source = node.args["self"].name
    shape, out = graph.values[source].shape, graph.values[node.name].shape
    planes = 1
    for n in shape[:-rank]:
        planes *= n
    size, outs = shape[-rank:], out[-rank:]
    arguments = node.args
    if kind == "adaptive_avg":
        if any(n % o for n, o in zip(size, outs, strict=True)):
            raise Unsupported("adaptive pooling with bins of unequal size is not generated")
        kernel = stride = tuple(n // o for n, o in zip(size, outs, strict=True))
        pad, dilation = (0,) * rank, (1,) * rank
    else:
        kernel = _each(arguments["kernel_size"], rank)
        stride = _each(arguments["stride"] or kernel, rank)
        pad = _each(arguments["padding"], rank)
        dilation = _each(arguments["dilation"], rank) if kind == "max" else (1,) * rank
    lead = 3 - rank
    ones, zeros = (1,) * lead, (0,) * lead
    return Window(
        kind="max" if kind == "max" else "avg",
        source=source,
        planes=planes,
        size=ones + size,
        out=ones + outs,
        kernel=ones + kernel,
        stride=ones + stride,
        pad=zeros + pad,
        dilation=ones + dilation,
        rank=rank,
        include_pad=bool(arguments.get("count_include_pad", True)),
        divisor=arguments.get("divisor_override"),
    )


def _each(value: Any, rank: int) -> tuple[int, ...]:
    items = tuple(value) if isinstance(value, tuple) else (value,)
    return items * rank if len(items) == 1 else items


@dataclass
class Plan:
    """One pooling kernel, with or without streaming stores."""

    graph: Graph
    window: Window
    epilogue: Epilogue
    title: str = field(init=False)
    reason: str = field(init=False)

    def __post_init__(self) -> None:
        self.title = f"{self.window.rank}-dimensional {self.window.kind} pooling{self.epilogue.suffix}"
        self.reason = "rows on full registers, each input row read once, one pass over memory"

    def candidates(self) -> Iterator[Candidate]:
        """The kernel; whether its output bypasses the caches is a tunable."""
        tunables = (
            Tunable(name="STREAM", choices=(0, 1), default=0),
            Tunable(
                name="BANDS", choices=(1, 2, 4, 8), default=1 if self.window.planes >= MANY_PLANES else 8
            ),
        )
        yield cpp_candidate(
            self._source(tunables),
            tunables=tunables,
            notes={"plan": self.title, "why": self.reason},
        )

    def _source(self, tunables: tuple[Tunable, ...]) -> str:
        w, e = self.window, self.epilogue
        pick = "maximum of" if w.kind == "max" else "sum over"
        comment = [
            f"{e.text('max' if w.kind == 'max' else 'mean')} over the window at each output; window {_by(w.kernel)}, "
            f"stride {_by(w.stride)}, padding {_by(w.pad)}, dilation {_by(w.dilation)} (depth x height x width).",
            f"Launch: threads share the {w.planes} planes, each in BANDS bands of output rows.",
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
        at = "line + j + k * DW" if w.stride[2] == 1 else "line[k * DW % SW] + j + k * DW / SW"
        combine = "v_maximum(a, b)" if w.kind == "max" else "a + b"
        functions = (
            _constants(w)
            + f"\nstatic inline vec combine(vec a, vec b) {{ return {combine}; }}\n"
            + _ROWS
            + _split(w)
            + (_COUNTED.format(*_COUNTS[w.include_pad]) if "columns" in _divide(w) else "")
            + _COLUMNS.replace("@FROM@", at).replace(
                "@FIRST@",
                at.replace("k * DW", "0").replace("0 % SW", "0").replace(" + 0 / SW", "").replace(" + 0", ""),
            )
        )
        return cpp_file(
            self.graph,
            title=self.title,
            comment=comment,
            functions=functions,
            body=self._body(),
            helpers={"partial", "stream", *(("maximum",) if w.kind == "max" else ()), *e.helpers},
            tunables=tunables,
            includes=("<algorithm>", "<type_traits>"),
            used={w.source, *e.parameters},
            meanings={"STREAM": "output bypasses the caches", "BANDS": "parallel bands of a plane"},
        )

    def _body(self) -> list[str]:
        w, e = self.window, self.epilogue
        divide = _divide(w)
        split = w.stride[2] > 1
        setup = _COLUMN_COUNTS if "columns" in divide else ""
        inside = _ROWS_INSIDE if "columns" in divide else ""
        index = ["plane", *{1: [], 2: ["oh"], 3: ["od", "oh"]}[w.rank]]
        value = f"combine_columns({'phases' if split else 'line'}, j){divide}"
        row = e.loop(index, w.out[2], "OW", value, stream="STREAM")
        body = _BODY.replace("@SOURCE@", w.source).replace("@IDENTITY@", _IDENTITY[w.kind])
        body = body.replace("@PHASES@", ", phases[SW][PHASE]" if split else "")
        body = body.replace("@SPLIT@", "      split(line, phases);\n" if split else "")
        body = body.replace("@SETUP@", setup).replace("@INSIDE@", inside)
        return body.replace("@ROW@", textwrap.indent("\n".join(row), " " * 6)).strip("\n").split("\n")


_IDENTITY = {"max": "-__builtin_inf()", "avg": "0"}
_COUNTS = {
    True: ("; padding counts", "to - from"),
    False: ("", "std::min(to, size) - std::max<int64_t>(from, 0)"),
}

_ROWS = """
// line[j] = combination over the window's rows of their column j.
template <class T> static inline void combine_rows(const T* const* rows, int64_t count, real* line) {
  const auto pass = [&](auto n) {
    for (int64_t j = 0; j + W <= IW; j += W) {
      vec v = load(rows[0] + j);
      for (int64_t k = 1; k < n; ++k) v = combine(v, load(rows[k] + j));
      store(line + j, v);
    }
    if (constexpr int64_t rest = IW % W; rest > 0) {
      constexpr int64_t j = IW - rest;
      vec v = load_part(rows[0] + j, rest);
      for (int64_t k = 1; k < n; ++k) v = combine(v, load_part(rows[k] + j, rest));
      store_part(line + j, v, rest);
    }
  };
  if (count == KD * KH) pass(std::integral_constant<int64_t, KD * KH>{});  // inside: the compiler unrolls
  else if (count > 0) pass(count);
}
"""

_COLUMNS = """
// W neighbouring outputs from column j on.
template <class Line> static inline vec combine_columns(const Line& line, int64_t j) {
  vec v = load(@FIRST@);
#pragma GCC unroll 16
  for (int64_t k = 1; k < KW; ++k) v = combine(v, load(@FROM@));
  return v;
}
"""

_BODY = """
constexpr int64_t band_rows = (OH + BANDS - 1) / BANDS;
#pragma omp parallel for collapse(2) schedule(static)
for (int64_t plane = 0; plane < PLANES; ++plane) {
  for (int64_t band = 0; band < BANDS; ++band) {
    alignas(REGISTER) real line[LINE]@PHASES@;
    std::fill(line, line + LINE, real(@IDENTITY@));
@SETUP@    const auto* const x = @SOURCE@_p + plane * (ID * IH * IW);
    for (int64_t od = 0; od < OD; ++od)
    for (int64_t oh = band * band_rows; oh < std::min(OH, (band + 1) * band_rows); ++oh) {
      decltype(+x) rows[KD * KH];  // the window's rows that lie inside the plane
      int64_t count = 0;
      for (int64_t kd = 0; kd < KD; ++kd)
      for (int64_t kh = 0; kh < KH; ++kh) {
        const int64_t id = od * SD - PD + kd * DD, ih = oh * SH - PH + kh * DH;
        if (id >= 0 && id < ID && ih >= 0 && ih < IH) rows[count++] = x + (id * IH + ih) * IW;
      }
      combine_rows(rows, count, line + PW);
@SPLIT@@INSIDE@@ROW@
    }
  }
}
if (STREAM) streams_done();
"""

_COLUMN_COUNTS = """    alignas(REGISTER) real columns[PHASE];  // how many columns of each output's window count
    for (int64_t j = 0; j < PHASE; ++j) columns[j] = real(counted(j, KW, SW, PW, IW));
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
    if w.divisor is not None:
        return f" / real({w.divisor})"
    whole = all(
        (o - 1) * s - p + k <= i + p
        for o, s, p, k, i in zip(w.out, w.stride, w.pad, w.kernel, w.size, strict=True)
    )
    if whole and (w.include_pad or not any(w.pad)):
        return " / real(KD * KH * KW)"
    return " / (inside * load(columns + j))"


def _split(w: Window) -> str:
    if w.stride[2] == 1:
        return ""
    if w.stride[2] == 2:
        return _SPLIT2
    return _SPLIT


_SPLIT2 = """
// phases[p][j] = line[2 j + p]
static inline void split(const real* line, real (&phases)[SW][PHASE]) {
  mask even;
  for (int i = 0; i < W; ++i) even[i] = 2 * i;
  for (int64_t j = 0; j < SPAN; j += W) {
    const vec a = load(line + 2 * j), b = load(line + 2 * j + W);
    store(phases[0] + j, __builtin_shuffle(a, b, even));
    store(phases[1] + j, __builtin_shuffle(a, b, even + 1));
  }
}
"""
_SPLIT = """
// phases[p][j] = line[SW j + p]
static inline void split(const real* line, real (&phases)[SW][PHASE]) {
  for (int64_t j = 0; j < SPAN; ++j)
    for (int64_t p = 0; p < SW; ++p) phases[p][j] = line[SW * j + p];
}
"""


def _by(sizes: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in sizes)


def _constants(w: Window) -> str:
    names = []
    for prefix, sizes in (
        ("I", w.size),
        ("O", w.out),
        ("K", w.kernel),
        ("S", w.stride),
        ("P", w.pad),
        ("D", w.dilation),
    ):
        names.append(", ".join(f"{prefix}{axis} = {n}" for axis, n in zip("DHW", sizes, strict=True)))
    return (
        f"constexpr int64_t PLANES = {w.planes};\n"
        "// input I*, output O*, kernel K*, stride S*, padding P*, dilation D*; D = depth, H = height, W = width\n"
        + "".join(f"constexpr int64_t {line};\n" for line in names)
        + "constexpr int64_t SPAN = ((OW - 1) * SW + (KW - 1) * DW) / SW + 1;  // columns of one phase\n"
        "constexpr int64_t PHASE = (SPAN + 2 * W) / W * W;\n"
        "constexpr int64_t LINE = std::max(PW + (IW + W - 1) / W * W, PHASE * SW) + W;\n\n"
    )
