"""Matrix products, single and batched, with the pointwise operations behind them.

The result is cut into blocks of MC x NC. A thread owns a block from packing to the last pointwise operation, so
threads share nothing and wait for nobody; the block's sums stay in its second-level cache, and only finished results
go to memory. Packing costs 1/MC + 1/NC of the work, which blocks of a few hundred make negligible.
"""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

from kopt.agents.offline.axes import Size
from kopt.agents.offline.contraction import tile
from kopt.agents.offline.contraction.operands import (
    FLOATS,
    Factor,
    computed,
    factor,
    fold,
    name_of,
    pointer,
    product,
)
from kopt.agents.offline.cppfile import cpp_candidate, cpp_file
from kopt.agents.offline.epilogue import LANES, Epilogue, Prologue
from kopt.agents.offline.expr import text
from kopt.agents.offline.gpu import gemm as triton
from kopt.agents.offline.graph import Graph, Node, Ref, Unsupported
from kopt.agents.offline.plan import in_triton
from kopt.words import Candidate, Tunable

# operator -> names of the two factors and of what is added, and whether the second factor is transposed
OPS = {
    "aten.linear.default": ("input", "weight", "bias", True),
    "aten.matmul.default": ("self", "other", "", False),
    "aten.mm.default": ("self", "mat2", "", False),
    "aten.bmm.default": ("self", "mat2", "", False),
    "aten.addmm.default": ("mat1", "mat2", "self", False),
    "aten.baddbmm.default": ("batch1", "batch2", "self", False),
}


def plan(graph: Graph, node: Node) -> Plan:
    """The plan for a matrix product, or Unsupported with the reason."""
    first, second, added, transposed = OPS[node.op]
    value = graph.values[node.name]
    names = [name_of(node.args[role]) for role in (first, second)]
    a_value, b_value = (graph.values[name] for name in names)
    if len(a_value.shape) < 2 or len(b_value.shape) < 2:
        raise Unsupported(
            "a matrix times a vector: bound by reading the matrix, which the reference does well"
        )
    if node.args.get("alpha", 1) != 1 or node.args.get("beta", 1) != 1:
        raise Unsupported("a matrix product scaled by alpha or beta")
    if value.dtype not in FLOATS:
        raise Unsupported(f"a matrix product of {value.dtype} is not generated")
    rank = len(value.shape)
    a = factor(graph, names[0], rank, depth=-1)
    b = computed(graph, names[1]) or factor(graph, names[1], rank, depth=-1 if transposed else -2)
    batch = [value.extents(d) for d in range(rank - 2)]
    rows = value.extents(rank - 2)
    if isinstance(b, Prologue) or not any(any(stride) for stride in b.batch):
        a, rows = fold(a, batch, rows)  # the same b for all: its rows are packed once for the whole batch
        b, batch = b if isinstance(b, Prologue) else dataclasses.replace(b, batch=()), []
    made = Product(
        a=a,
        b=b,
        batch=tuple(batch),
        rows=rows,
        columns=value.extents(rank - 1),
        depth=a_value.extents(len(a_value.shape) - 1),
        added=_added(graph, node, added),
        transposed=transposed,
    )
    tail = Epilogue(graph, node.name)
    tail.merge(*([len(batch)] if batch else []), rank - 1 - len(batch), 1)
    result = Plan(graph, made, tail)
    result.source()  # says now if it cannot be written
    return result


def _added(graph: Graph, node: Node, role: str) -> str | None:
    held = node.args.get(role) if role else None
    if held is None:
        return None
    if not isinstance(held, Ref) or held.name not in (*graph.inputs, *graph.state):
        raise Unsupported("the bias of the matrix product is computed first")
    value = graph.values[held.name]
    if len(value.shape) != 1 or not value.contiguous:
        raise Unsupported("the bias of the matrix product is no plain vector")
    return held.name


@dataclass(frozen=True)
class Product:
    """``c[batch, i, j] = sum over k of a[batch, i, k] * b[batch, k, j] (+ added[j])``."""

    a: Factor
    b: Factor | Prologue
    batch: tuple[Size, ...]
    rows: Size
    columns: Size
    depth: Size
    added: str | None
    transposed: bool

    @property
    def second(self) -> str:
        """The second factor, for comments."""
        return f"({text(self.b.root)})" if isinstance(self.b, Prologue) else self.b.parameter

    @property
    def parameters(self) -> set[str]:
        """Parameters that the factors are read from."""
        return {self.a.parameter} | (
            self.b.parameters if isinstance(self.b, Prologue) else {self.b.parameter}
        )


@dataclass
class Plan:
    """One matrix-product kernel; block sizes are tunables."""

    graph: Graph
    product: Product
    after: Epilogue
    title: str = field(init=False)
    reason: str = field(init=False)

    def __post_init__(self) -> None:
        p = self.product
        sizes = " x ".join(str(s[0]) if len(set(s)) == 1 else "?" for s in (p.rows, p.depth, p.columns))
        self.title = f"{'batched ' if p.batch else ''}matrix product {sizes}{self.after.suffix}"
        self.reason = "packed panels and register tiles; what follows is done while results are in cache"

    @property
    def tunables(self) -> tuple[Tunable, ...]:
        """Register tile, depth and block sizes in tiles."""
        p = self.product
        rows = tile.balanced_rows(max(p.rows))  # a smoke shape of a few rows must not make a small tile
        down = _even(max(p.rows), rows, 240)
        across = _even(max(p.columns), 2 * LANES, 512 if max(p.rows) > 128 else 256)
        return (
            *tile.tunables(rows, 256),
            Tunable(name="DOWN", choices=tuple(sorted({down, 4, 8, 16, 24})), default=down),
            Tunable(name="ACROSS", choices=tuple(sorted({across, 4, 8, 16})), default=across),
        )

    def candidates(self) -> Iterator[Candidate]:
        """The C++ kernel with balanced blocks, then the Triton kernel; the rest is tuning.

        Raises:
            Unsupported: after the C++ kernel, where there can be no Triton kernel.
        """
        yield cpp_candidate(
            self.source(), tunables=self.tunables, notes={"plan": self.title, "why": self.reason}
        )
        yield in_triton(triton.candidate, self)

    def source(self) -> str:
        """The C++ file."""
        p, e, size = self.product, self.after, self.graph.size
        index = (["batch"] if p.batch else []) + ["(top + i)"]
        value = "load(sums + i * NC + j - left)" + (f" + load({p.added}_p + j)" if p.added else "")
        store = self._store(index, value)
        batch = f"for (int64_t batch = 0; batch < {size(product(p.batch))}; ++batch)\n" if p.batch else ""
        body = _BODY.replace("@BATCH@", batch).replace("@LEVELS@", "3" if p.batch else "2")
        for mark, written in (
            ("@ROWS@", size(p.rows)),
            ("@COLUMNS@", size(p.columns)),
            ("@DEPTH@", size(p.depth)),
        ):
            body = body.replace(mark, written)
        computes = isinstance(p.b, Prologue)
        body = body.replace("@MAKE_B@", textwrap.indent(self._made(), " " * 6) if computes else _PACK_B)
        head = "real* const made = sums + MC * NC;" if computes else "const auto* const b = @B@;"
        body = body.replace("@MADE@", " + NC * KC" if computes else "").replace("@HEAD_B@", f"    {head}\n")
        for mark, held in (("A", p.a), ("B", p.b)):
            if isinstance(held, Factor):
                body = body.replace(f"@{mark}@", pointer(held, p.batch, size))
                body = body.replace(f"@{mark}_ALONG@", size(held.along))
                body = body.replace(f"@{mark}_DEPTH@", size(held.depth))
        body = body.replace("@STORE@", textwrap.indent("\n".join(store), " " * 6))
        comment = [
            f"{e.text('y')}; y[i, j] = sum over k of a[i, k] * b[k, j]"
            + (f" + {p.added}[j]" if p.added else "")
            + f" with a = {p.a.parameter}, b = {p.second} read through their strides.",
            "Launch: threads share blocks of (DOWN * MR) x (ACROSS * NR) results.",
            "For each stretch of KC: both factors are packed into panels in the order the micro-kernel reads them; "
            "a panel of b stays in the first-level cache while all panels of a pass by, those in the second.",
        ]
        return cpp_file(
            self.graph,
            title=self.title,
            comment=comment,
            functions=tile.SCRATCH + tile.MULTIPLY + tile.PACK + _BLOCK,
            body=body.strip("\n").split("\n"),
            helpers=e.helpers | (p.b.helpers if isinstance(p.b, Prologue) else set()),
            tunables=self.tunables,
            includes=(*tile.INCLUDES, "<type_traits>"),
            used={*p.parameters, *([p.added] if p.added else []), *e.parameters},
            meanings={**tile.MEANINGS, "DOWN": "tiles per block, down", "ACROSS": "tiles per block, across"},
        )

    def _made(self) -> str:
        """Statements that compute a stretch of the second factor, row by row as it would lie in memory, and pack it."""
        p = self.product
        assert isinstance(p.b, Prologue)
        rows, first, begin, end, pitch = (
            ("right - left", "left", "from", "from + depth", "KC")
            if p.transposed
            else ("depth", "from", "left", "right", "NC")
        )
        full, part = p.b.row(["at"]), p.b.row(["at"], count=f"{end} - j")
        to = f"made + q * {pitch} + j - {begin}"
        strides = "KC, 1" if p.transposed else "1, NC"
        lines = [
            f"for (int64_t q = 0; q < {rows}; ++q) {{",
            f"  const int64_t at = {first} + q;",
            *(f"  {line}" for line in full.hoisted),
            f"  int64_t j = {begin};",
            f"  for (; j + W <= {end}; j += W) {{",
            *(f"    {line}" for line in full.body),
            f"    store({to}, {full.result});",
            "  }",
            f"  if (j < {end}) {{",
            *(f"    {line}" for line in part.body),
            f"    store_part({to}, {part.result}, {end} - j);",
            "  }",
            "}",
            f"pack<NR>(made, {strides}, right - left, depth, b_panels);",
        ]
        return "\n".join(lines)

    def _store(self, index: list[str], value: str) -> list[str]:
        """The loop over one row of a finished block."""
        e, columns = self.after, self.product.columns
        full = e.finish(index, "y")
        lines = [*full.hoisted, "int64_t j = left;", "for (; j + W <= right; j += W) {"]
        lines += [f"  const vec y = {value};", *(f"  {line}" for line in [*full.body, full.result]), "}"]
        if len(set(columns)) > 1 or columns[0] % LANES:
            part = e.finish(index, "y", count="right - j")
            if self.product.added:
                value = value.replace(
                    f"load({self.product.added}_p + j)", f"load_part({self.product.added}_p + j, right - j)"
                )
            lines += ["if (j < right) {", f"  const vec y = {value};"]
            lines += [*(f"  {line}" for line in [*part.body, part.result]), "}"]
        return lines


def _even(count: int, step: int, limit: int) -> int:
    """Tiles of ``step`` per block, so that blocks of at most ``limit`` are of nearly equal size."""
    blocks = max(1, math.ceil(count / limit))
    return max(1, math.ceil(math.ceil(count / blocks) / step))


_BLOCK = "\nconstexpr int64_t MC = DOWN * MR, NC = ACROSS * NR;\n"

_PACK_B = """\
      pack<NR>(b + left * @B_ALONG@ + from * @B_DEPTH@, @B_ALONG@, @B_DEPTH@, right - left, depth, b_panels);"""

_BODY = """
const int64_t ROWS = @ROWS@, COLUMNS = @COLUMNS@, DEPTH = @DEPTH@;
#pragma omp parallel
{
  real* const a_panels = scratch<0>(MC * KC + NC * KC + MC * NC@MADE@);
  real* const b_panels = a_panels + MC * KC;
  real* const sums = b_panels + NC * KC;
#pragma omp for collapse(@LEVELS@) schedule(dynamic)
  @BATCH@for (int64_t left = 0; left < COLUMNS; left += NC)
  for (int64_t top = 0; top < ROWS; top += MC) {
    const int64_t high = std::min(MC, ROWS - top), right = std::min(COLUMNS, left + NC);
    const auto* const a = @A@;
@HEAD_B@    for (int64_t from = 0; from < DEPTH; from += KC) {
      const int64_t depth = std::min<int64_t>(KC, DEPTH - from);
      pack<MR>(a + top * @A_ALONG@ + from * @A_DEPTH@, @A_ALONG@, @A_DEPTH@, high, depth, a_panels);
@MAKE_B@
      for (int64_t j = 0; j < right - left; j += NR)
        for (int64_t i = 0; i < high; i += MR)
          multiply(depth, panel(a_panels + i * depth), [&](int64_t k) { return b_panels + j * depth + k * NR; },
                   sums + i * NC + j, NC, from > 0);
    }
    for (int64_t i = 0; i < high; ++i) {
@STORE@
    }
  }
}
"""
