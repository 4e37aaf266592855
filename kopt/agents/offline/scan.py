"""Running sums and products along one axis, forward or backward, with pointwise work before and after.

torch accumulates these in float64 whatever the dtype (rounding would otherwise grow along the axis), so do these
kernels. Along the innermost axis a register is scanned in log2 steps (Hillis and Steele); along an outer axis the
neighbouring columns of a row are independent and no lane ever meets another.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

from kopt.agents.offline import width
from kopt.agents.offline.cppfile import cpp_candidate, cpp_file
from kopt.agents.offline.epilogue import Epilogue, Prologue
from kopt.agents.offline.expr import text
from kopt.agents.offline.gpu import scan as triton
from kopt.agents.offline.graph import Graph, Node, Ref, Unsupported
from kopt.agents.offline.plan import in_triton
from kopt.words import Candidate, Tunable

_OPS = {"aten.cumsum.default": "sum", "aten.cumprod.default": "product"}
_FLIP = "aten.flip.default"


def recognise(graph: Graph) -> Plan | None:
    """A plan for graphs around one cumsum or cumprod, flipped before and after where it runs backward."""
    nodes = [n for n in graph.live() if n.op in _OPS]
    if not nodes:
        return None
    if len(nodes) > 1:
        raise Unsupported(f"{len(nodes)} scans in one graph: only a single one is generated")
    node = nodes[0]
    source, result, reverse = _ends(graph, node)
    value = graph.values[result]
    if value.dtype not in ("float32", "float64", "float16", "bfloat16"):
        raise Unsupported(f"a running {_OPS[node.op]} of {value.dtype} is not generated")
    if not value.shape:
        raise Unsupported("a scan of a single number")
    dim = int(node.args["dim"]) % len(value.shape)
    inner = dim == len(value.shape) - 1
    before, after = Prologue(graph, source), Epilogue(graph, result)
    for rows in (before, after):
        rows.merge(dim, 1) if inner else rows.merge(dim, 1, len(value.shape) - dim - 1)
    plan = Plan(graph, _OPS[node.op], result, dim, inner, reverse, before, after)
    plan.source()  # says now if it cannot be written
    return plan


def _ends(graph: Graph, node: Node) -> tuple[str, str, bool]:
    """The values before and after the scan; flips of the scanned axis on both sides mean it runs backward."""
    source = node.args["self"]
    assert isinstance(source, Ref)
    flip = graph.node(source.name)
    users = graph.users(node.name)
    if flip is None or flip.op != _FLIP or len(users) != 1 or users[0].op != _FLIP:
        return source.name, node.name, False
    rank = len(graph.values[node.name].shape)
    wanted = {int(node.args["dim"]) % rank}
    inside = flip.args["self"]
    assert isinstance(inside, Ref)
    if all({int(d) % rank for d in n.args["dims"]} == wanted for n in (flip, users[0])):
        return inside.name, users[0].name, True
    return source.name, node.name, False


@dataclass
class Plan:
    """One scan kernel."""

    graph: Graph
    kind: str
    result: str
    dim: int
    inner: bool
    reverse: bool
    before: Prologue
    after: Epilogue
    title: str = field(init=False)
    reason: str = field(init=False)

    def __post_init__(self) -> None:
        backward = " backward" if self.reverse else ""
        self.title = f"running {self.kind}{backward} along axis {self.dim}{self.after.suffix}"
        self.reason = (
            "registers are scanned in parallel steps, results bypass the caches"
            if self.inner
            else "rows are walked in memory order with a register of columns at a time"
        )

    @property
    def tunables(self) -> tuple[Tunable, ...]:
        """Streaming stores, the registers' width, and how much is in flight: registers, or columns of a thread."""
        stream = Tunable(name="STREAM", choices=(0, 1), default=1)
        inner = Tunable(name="UNROLL", choices=(1, 2, 4), default=1)
        outer = Tunable(name="TILE", choices=(256, 512, 1024, 2048), default=1024)
        return (stream, inner if self.inner else outer, *width.tunables())

    def candidates(self) -> Iterator[Candidate]:
        """The C++ kernel, its stores and tile tunables; then the Triton kernels.

        Raises:
            Unsupported: after the C++ kernel, where there can be no Triton kernel.
        """
        yield cpp_candidate(
            self.source(), tunables=self.tunables, notes={"plan": self.title, "why": self.reason}
        )
        yield in_triton(triton.candidate, self)

    def source(self) -> str:
        """The C++ file."""
        sign = "*" if self.kind == "product" else "+"
        order = "l, l + 1, ..." if self.reverse else "0, 1, ..., l"
        comment = [
            f"{self.after.text('y')} with y[l] = {self.kind} of {text(self.before.root)} over {order} of axis "
            f"{self.dim}.",
            "Accumulated in double, as torch does: a float32 running value would lose digits along the axis.",
        ]
        comment += _INNER_COMMENT if self.inner else _OUTER_COMMENT
        functions = (_WIDE + (_SCAN if self.inner else _ADVANCE)).replace("@OP@", sign)
        functions = functions.replace("@IDENTITY@", "1" if self.kind == "product" else "0")
        functions = functions.replace("@ORDER@", "PIECES - 1 - k" if self.reverse else "k")
        functions = functions.replace("@FROM@", "i + s < LANES" if self.reverse else "i >= s")
        functions = functions.replace("@AT@", "i + s" if self.reverse else "i - s")
        functions = functions.replace("@LAST@", "0" if self.reverse else "LANES - 1")
        return cpp_file(
            self.graph,
            title=self.title,
            comment=comment,
            functions=functions,
            body=(self._inner() if self.inner else self._outer()).strip("\n").split("\n"),
            helpers={"partial", "stream", "doubles", *self.before.helpers, *self.after.helpers},
            tunables=self.tunables,
            includes=("<algorithm>", "<iterator>"),
            used={*self.before.parameters, *self.after.parameters},
            meanings={
                "STREAM": "output bypasses the caches",
                "TILE": "columns one thread carries along the axis",
                "UNROLL": "registers per round of a row",
                **width.MEANING,
            },
        )

    def sizes(self) -> dict[str, str]:
        """Elements before, along and behind the axis, as C++ over the arguments' sizes."""
        value = self.graph.values[self.result]
        extents = [value.extents(d) for d in range(len(value.shape))]
        groups = {
            "OUTER": extents[: self.dim],
            "LENGTH": [extents[self.dim]],
            "INNER": extents[self.dim + 1 :],
        }
        return {
            name: self.graph.size(
                tuple(math.prod(per_trace) for per_trace in zip(*group, strict=True)) or (1,)
            )
            for name, group in groups.items()
        }

    def _inner(self) -> str:
        size = self.sizes()
        full, part = (self._step(["row"], count) for count in ("", "rest"))
        body = _INNER.replace("@OUTER@", size["OUTER"]).replace("@LENGTH@", size["LENGTH"])
        body = body.replace("@HOISTED@", textwrap.indent("\n".join(full[0]), "  "))
        tail = "\n".join(
            ["  if (rest > 0) {", "    const int64_t j = LENGTH - rest;", *_in(part[1], 4), "  }"]
        )
        step = "\n".join(_in(full[1], 4))
        backward = "for (int64_t j = LENGTH - rest - W; j >= 0; j -= W)"
        forward = "for (int64_t j = 0; j + W <= LENGTH; j += W)"
        loop = f"#pragma GCC unroll ROUND\n  {backward if self.reverse else forward} {{\n{step}\n  }}"
        return body.replace("@LOOP@", f"{tail}\n{loop}" if self.reverse else f"{loop}\n{tail}")

    def _step(
        self, index: list[str], count: str, value: str = "scan(x, carry)"
    ) -> tuple[list[str], list[str]]:
        before = self.before.row(index, count=count)
        after = self.after.finish(index, "y", count=count, stream="STREAM")
        loaded = before.result
        if count and self.inner:
            loaded = f"first_lanes({loaded}, {count}, IDENTITY)"
        hoisted = [*before.hoisted, *(h for h in after.hoisted if h not in before.hoisted)]
        body = [
            *before.body,
            f"const vec x = {loaded};",
            f"const vec y = {value};",
            *after.body,
            after.result,
        ]
        return hoisted, body

    def _outer(self) -> str:
        size = self.sizes()
        full, part = (
            self._step(["outer", "l"], count, "advance(running + j - from, x)") for count in ("", "to - j")
        )
        body = _OUTER
        for name, written in size.items():
            body = body.replace(f"@{name}@", written)
        steps = (
            "for (int64_t l = LENGTH - 1; l >= 0; --l)"
            if self.reverse
            else "for (int64_t l = 0; l < LENGTH; ++l)"
        )
        body = body.replace("@STEPS@", steps)
        body = body.replace("@HOISTED@", "\n".join(_in(full[0], 6)))
        return body.replace("@FULL@", "\n".join(_in(full[1], 8))).replace(
            "@PART@", "\n".join(_in(part[1], 8))
        )


def _in(lines: list[str], by: int) -> list[str]:
    return [" " * by + line for line in lines]


_INNER_COMMENT = [
    "Launch: threads share the rows; a row is walked once, W elements at a time.",
    "Within a register: log2 steps, each adding the register shifted by 1, 2, 4, ... lanes (Hillis and Steele). "
    "The sums of whole registers form the only chain from one step to the next, one addition long.",
]
_OUTER_COMMENT = [
    "Launch: threads share (outer index, tile of TILE columns); a tile's running values stay in the nearest cache "
    "while the rows go by in memory order.",
]

_WIDE = """
// Doubles fill a register in fewer lanes than reals: a vec is scanned in PIECES registers.
typedef wide_vec wide;
typedef int64_t lanes __attribute__((vector_size(REGISTER)));
constexpr int64_t LANES = REGISTER / sizeof(double);
constexpr double IDENTITY = @IDENTITY@;
"""

_SCAN = """
constexpr int ROUND = UNROLL;  // a pragma takes no macro

// The lanes moved by s places, identity moving in.
static inline wide moved(wide t, int64_t s) {
  lanes from;
  for (int64_t i = 0; i < LANES; ++i) from[i] = @FROM@ ? @AT@ : LANES;
  return __builtin_shuffle(t, wide{} + IDENTITY, from);
}

// Running values of x behind `carry` (all lanes equal), which moves on.
static inline vec scan(vec x, wide& carry) {
  doubles d = as_doubles(x);
  for (int64_t k = 0; k < PIECES; ++k) {
    const int64_t p = @ORDER@;
    wide t = d.part[p];
    for (int64_t s = 1; s < LANES; s *= 2) t = t @OP@ moved(t, s);
    d.part[p] = t @OP@ carry;
    carry = carry @OP@ __builtin_shuffle(t, lanes{} + @LAST@);
  }
  return as_reals(d);
}
"""

_ADVANCE = """
// The running values of W columns, one row on.
static inline vec advance(double* running, vec x) {
  doubles d = as_doubles(x);
  for (int64_t p = 0; p < PIECES; ++p) {
    wide t;
    memcpy(&t, running + p * LANES, sizeof t);
    d.part[p] = t @OP@ d.part[p];
    memcpy(running + p * LANES, &d.part[p], sizeof t);
  }
  return as_reals(d);
}
"""

_INNER = """
const int64_t ROWS = @OUTER@, LENGTH = @LENGTH@, rest = LENGTH % W;
#pragma omp parallel for schedule(static)
for (int64_t row = 0; row < ROWS; ++row) {
@HOISTED@
  wide carry = wide{} + IDENTITY;
@LOOP@
}
if (STREAM) streams_done();
"""

_OUTER = """
const int64_t OUTER = @OUTER@, LENGTH = @LENGTH@, INNER = @INNER@, TILES = (INNER + TILE - 1) / TILE;
#pragma omp parallel for collapse(2) schedule(static)
for (int64_t outer = 0; outer < OUTER; ++outer) {
  for (int64_t tile = 0; tile < TILES; ++tile) {
    alignas(REGISTER) double running[(TILE + W - 1) / W * W];
    std::fill(std::begin(running), std::end(running), IDENTITY);
    const int64_t from = tile * TILE, to = std::min<int64_t>(INNER, from + TILE);
    @STEPS@ {
@HOISTED@
      int64_t j = from;
      for (; j + W <= to; j += W) {
@FULL@
      }
      if (j < to) {
@PART@
      }
    }
  }
}
if (STREAM) streams_done();
"""
