"""Attention without the matrix of scores in memory: softmax(f(Q K^T)) V, one block of queries at a time.

After FlashAttention (Dao et al.; online softmax by Milakov and Gimelshein): a block of scores lives in cache; when a
later block raises a row's maximum, what was summed so far is rescaled. Recognised are
``scaled_dot_product_attention`` and the same written by hand (product, pointwise, softmax, product).
"""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

from kopt.agents.offline.axes import Size
from kopt.agents.offline.contraction import tile
from kopt.agents.offline.contraction.operands import FLOATS, Factor, factor, name_of, pointer, product
from kopt.agents.offline.cppfile import cpp_candidate, cpp_file
from kopt.agents.offline.epilogue import Epilogue
from kopt.agents.offline.gpu import attention as triton
from kopt.agents.offline.graph import Graph, Node, Ref, Unsupported, Value, row_major
from kopt.agents.offline.plan import in_triton
from kopt.words import Candidate, Tunable

_FUSED = "aten.scaled_dot_product_attention.default"
_SOFTMAX = ("aten.softmax.int", "aten._softmax.default")
_PRODUCTS = {"aten.matmul.default": "other", "aten.bmm.default": "mat2"}
_THROUGH = ("aten.dropout.default", "aten.contiguous.default", "aten.clone.default", "aten.to.dtype")
FEW_HEADS = 8


@dataclass(frozen=True)
class Parts:
    """The pieces of an attention: values by name, in the order of computation."""

    query: str
    key: str
    key_depth: int
    value: str
    scores: str
    weights_of: str
    result: str
    causal: bool
    zero_when_masked: bool


def recognise(graph: Graph) -> Plan | None:
    """A plan for graphs that are one attention with pointwise work on scores and result."""
    live = graph.live()
    fused = [n for n in live if n.op == _FUSED]
    if len(fused) > 1:
        raise Unsupported(f"{len(fused)} attentions in one graph: only a single one is generated")
    if fused:
        graph, parts = _spelled_out(graph, fused[0])
    else:
        found = [p for n in live if n.op in _SOFTMAX and (p := _by_hand(graph, n))]
        if len(found) != 1:
            return None
        parts = found[0]
    return _plan(graph, parts)


def _by_hand(graph: Graph, softmax: Node) -> Parts | None:
    """The product before and the product after a softmax, if it is between two."""
    rank = len(graph.values[softmax.name].shape)
    if int(softmax.args["dim"]) % rank != rank - 1:
        return None
    after = softmax
    while len(users := graph.users(after.name)) == 1 and users[0].op in _THROUGH:
        after = users[0]
    if len(users) != 1 or users[0].op not in _PRODUCTS or users[0].args["self"] != Ref(after.name):
        return None
    source = name_of(softmax.args["self"])
    before = _product_behind(graph, source)
    if before is None:
        return None
    return Parts(
        query=name_of(before.args["self"]),
        key=name_of(before.args[_PRODUCTS[before.op]]),
        key_depth=-2,
        value=name_of(users[0].args[_PRODUCTS[users[0].op]]),
        scores=before.name,
        weights_of=source,
        result=users[0].name,
        causal=False,
        zero_when_masked=False,
    )


def _product_behind(graph: Graph, name: str) -> Node | None:
    stack, found = [name], []
    while stack:
        node = graph.node(stack.pop())
        if node is None:
            continue
        if node.op in _PRODUCTS:
            found.append(node)
        else:
            stack.extend(node.refs())
    return found[0] if len({n.name for n in found}) == 1 else None


def _spelled_out(graph: Graph, node: Node) -> tuple[Graph, Parts]:
    """The graph with scaling and mask of the fused operator as nodes of their own."""
    a = node.args
    query, key, value = (name_of(a[n]) for n in ("query", "key", "value"))
    q, k = graph.values[query], graph.values[key]
    if a.get("dropout_p"):
        raise Unsupported("attention with dropout draws random numbers")
    if a.get("enable_gqa") and q.shape[-3] != k.shape[-3]:
        raise Unsupported("attention whose queries share keys (GQA) is not generated")
    if "scale" in node.varying or (not a.get("scale") and len(set(q.extents(-1))) > 1):
        raise Unsupported("attention whose scale varies with the width of a head is not generated")
    scale = a.get("scale") or 1 / math.sqrt(q.shape[-1])
    values, nodes = dict(graph.values), []

    def add(name: str, op: str, **arguments: object) -> str:
        name = f"{node.name}_{name}"
        shapes = tuple((*s[:-1], t[-2]) for s, t in zip(q.shapes, k.shapes, strict=True))
        values[name] = Value(name, shapes[0], q.dtype, row_major(shapes[0]), shapes)
        nodes.append(dataclasses.replace(node, name=name, op=op, args=arguments))
        return name

    scores = add("scores", "aten.matmul.default", self=Ref(query), other=Ref(key))
    last = add("scaled", "aten.mul.Tensor", self=Ref(scores), other=scale)
    mask = a.get("attn_mask")
    if mask is not None:
        if graph.values[name_of(mask)].dtype == "bool":
            last = add("masked", "aten.where.ScalarOther", condition=mask, self=Ref(last), other=-math.inf)
        else:
            last = add("masked", "aten.add.Tensor", self=Ref(last), other=mask, alpha=1)
    # The result's node stays, but as an opaque one: what follows it refers to its name.
    place = graph.nodes.index(node)
    made = dataclasses.replace(
        graph, values=values, nodes=(*graph.nodes[:place], *nodes, *graph.nodes[place:])
    )
    return made, Parts(
        query=query, key=key, key_depth=-1, value=value, scores=scores, weights_of=last, result=node.name,
        causal=bool(a.get("is_causal")), zero_when_masked=True,
    )  # fmt: skip


def _plan(graph: Graph, parts: Parts) -> Plan:
    result, scores = graph.values[parts.result], graph.values[parts.scores]
    if graph.values[parts.query].dtype not in FLOATS - {"float64"}:
        raise Unsupported(f"attention of {graph.values[parts.query].dtype} is not generated")
    rank = len(result.shape)
    score = Epilogue(dataclasses.replace(graph, outputs=(parts.weights_of,)), parts.scores)
    tail = Epilogue(graph, parts.result)
    for rows in (score, tail):
        rows.merge(rank - 2, 1, 1) if rank > 2 else rows.merge(1, 1)
    made = Plan(
        graph=graph,
        parts=parts,
        q=factor(graph, parts.query, rank, depth=-1),
        k=factor(graph, parts.key, rank, depth=parts.key_depth),
        v=factor(graph, parts.value, rank, depth=-2),
        batch=tuple(result.extents(d) for d in range(rank - 2)),
        queries=result.extents(rank - 2),
        keys=scores.extents(rank - 1),
        width=graph.values[parts.query].extents(-1),
        values=result.extents(rank - 1),
        score=score,
        after=tail,
    )
    made.source()  # says now if it cannot be written
    return made


@dataclass
class Plan:
    """One attention kernel; block sizes are tunables."""

    graph: Graph
    parts: Parts
    q: Factor
    k: Factor
    v: Factor
    batch: tuple[Size, ...]
    queries: Size
    keys: Size
    width: Size
    values: Size
    score: Epilogue
    after: Epilogue
    title: str = field(init=False)
    reason: str = (
        "scores stay in cache; keys and values are packed once per head; both products on register tiles"
    )

    def __post_init__(self) -> None:
        causal = "causal " if self.parts.causal else ""
        self.title = f"{causal}attention, {self.keys[0]} keys of width {self.width[0]}{self.after.suffix}"

    @property
    def tunables(self) -> tuple[Tunable, ...]:
        """Register tile, and how many queries and keys make a block."""
        heads = min(product(self.batch)) if self.batch else 1
        return (
            Tunable(name="MR", choices=(8, 12, 14), default=12),
            Tunable(name="NV", choices=(2, 4), default=2),
            Tunable(name="QUERIES", choices=(4, 8, 16), default=8),
            Tunable(name="KEYS", choices=(128, 256, 512), default=256),
            Tunable(name="SPLIT", choices=(1, 2, 4, 8), default=1 if heads >= FEW_HEADS else 4),
        )

    def candidates(self) -> Iterator[Candidate]:
        """The C++ kernel, then the Triton kernel; the rest is tuning.

        Raises:
            Unsupported: after the C++ kernel, where there can be no Triton kernel.
        """
        yield cpp_candidate(
            self.source(), tunables=self.tunables, notes={"plan": self.title, "why": self.reason}
        )
        yield in_triton(triton.candidate, self)

    def source(self) -> str:
        """The C++ file."""
        size = self.graph.size
        index = (["batch"] if self.batch else []) + ["(top + i)"]
        body = _BODY.replace("@SCORE@", self._score(index)).replace("@STORE@", self._store(index))
        sizes = {
            "HEADS": product(self.batch) if self.batch else (1,) * len(self.queries),
            "SQ": self.queries, "SK": self.keys, "WIDTH": self.width, "OUT": self.values,
        }  # fmt: skip
        for mark, extent in sizes.items():
            body = body.replace(f"@{mark}@", size(extent))
        for mark, held in (("Q", self.q), ("K", self.k), ("V", self.v)):
            body = body.replace(f"@{mark}_P@", pointer(held, self.batch, size))
            body = body.replace(f"@{mark}_ROW@", size(held.depth if mark == "V" else held.along))
            body = body.replace(f"@{mark}_COL@", size(held.along if mark == "V" else held.depth))
        body = body.replace("@LAST_KEY@", "std::min(SK, top + high)" if self.parts.causal else "SK")
        body = body.replace(
            "@SEEN@", "std::clamp<int64_t>(top + i + 1 - first, 0, held)" if self.parts.causal else "held"
        )
        zero = "total[i] == 0 ? 0 : 1 / total[i]" if self.parts.zero_when_masked else "1 / total[i]"
        body = body.replace("@INVERSE@", zero)
        comment = [
            f"{self.after.text('y')}; y = softmax(s) v, s[i, k] = {self._score_text()} with "
            f"q = {self.q.parameter}, k = {self.k.parameter}, v = {self.v.parameter}"
            + (", only k <= i." if self.parts.causal else "."),
            "Launch: threads share (head, every SPLIT-th block of QUERIES * MR queries); keys and values of a head are "
            "packed once per share.",
            "Online softmax: for each block of KEYS, a row's maximum so far is raised to the block's, and what was "
            "summed under the old one is scaled by exp(old - new)."
            + (" Blocks that lie wholly in the future are never computed." if self.parts.causal else ""),
        ]
        return cpp_file(
            self.graph,
            title=self.title,
            comment=comment,
            functions=tile.SCRATCH + tile.MULTIPLY + tile.PACK + _SOFTMAX_HELPERS,
            body=body.strip("\n").split("\n"),
            helpers={"exp", *self.score.helpers, *self.after.helpers},
            tunables=self.tunables,
            includes=tile.INCLUDES,
            used={f.parameter for f in (self.q, self.k, self.v)}
            | self.score.parameters
            | self.after.parameters,
            meanings={
                **tile.MEANINGS,
                "QUERIES": "register tiles of queries per block",
                "KEYS": "keys per block",
                "SPLIT": "shares of a head's queries",
            },
        )

    def _score_text(self) -> str:
        return self.score.text("q[i] . k[k]").removeprefix("out = ")

    def _score(self, index: list[str]) -> str:
        """Scores from dot products, with the row's maximum."""
        known = {self.parts.scores: "load(row + c)"}
        full = self.score.row(index, known=known)
        part = self.score.row(index, known=known, count="seen - c")
        lines = [
            *full.hoisted,
            "int64_t c = 0;",
            "for (; c + W <= seen; c += W) {",
            "  const int64_t j = first + c;",
            *(f"  {line}" for line in full.body),
            f"  const vec s = {full.result};",
            "  store(row + c, s);",
            "  top_lanes = s > top_lanes ? s : top_lanes;",
            "}",
            "if (c < seen) {",
            "  const int64_t j = first + c;",
            *(f"  {line}" for line in part.body),
            f"  const vec s = first_lanes({part.result}, seen - c, -__builtin_inff());",
            "  store(row + c, s);",
            "  top_lanes = s > top_lanes ? s : top_lanes;",
            "}",
        ]
        text = "\n".join(lines)
        if "+ j" not in text:
            text = text.replace("  const int64_t j = first + c;\n", "")
        return textwrap.indent(text, " " * 10)

    def _store(self, index: list[str]) -> str:
        lines = self.after.loop(index, self.values, "OUT", "load(sums + i * PADDED + j) * inverse")
        return textwrap.indent("\n".join(lines), " " * 8)


_SOFTMAX_HELPERS = """
// All lanes combined, by halves.
template <class Combine> static inline real across(vec v, Combine combine) {
  mask lane;
  for (int i = 0; i < W; ++i) lane[i] = i;
#pragma GCC unroll 8
  for (int half = W / 2; half > 0; half /= 2) v = combine(v, __builtin_shuffle(v, lane ^ half));
  return v[0];
}
"""

_BODY = """
const int64_t HEADS = @HEADS@, SQ = @SQ@, SK = @SK@;
const int64_t WIDTH = @WIDTH@, OUT = @OUT@, PADDED = (OUT + NR - 1) / NR * NR;
constexpr int64_t BLOCK = QUERIES * MR, PITCH = KEYS + W;  // PITCH: rows of scores do not share cache sets
const int64_t KEY_ROOM = (SK + NR - 1) / NR * NR;
#pragma omp parallel
{
  real* const keys = scratch<0>(KEY_ROOM * (WIDTH + PADDED) + BLOCK * (WIDTH + PITCH + PADDED + 2));
  real* const values = keys + KEY_ROOM * WIDTH;  // [PADDED / NR] panels [SK][NR]
  real* const queries = values + KEY_ROOM * PADDED;
  real* const scores = queries + BLOCK * WIDTH;
  real* const sums = scores + BLOCK * PITCH;
  real* const peak = sums + BLOCK * PADDED;
  real* const total = peak + BLOCK;
#pragma omp for collapse(2) schedule(dynamic)
  for (int64_t batch = 0; batch < HEADS; ++batch)
  for (int64_t share = 0; share < SPLIT; ++share) {
    pack<NR>(@K_P@, @K_ROW@, @K_COL@, SK, WIDTH, keys);
    pack<NR>(@V_P@, @V_COL@, @V_ROW@, OUT, SK, values);
    for (int64_t top = share * BLOCK; top < SQ; top += SPLIT * BLOCK) {
      const int64_t high = std::min(BLOCK, SQ - top), last_key = @LAST_KEY@;
      pack<MR>(@Q_P@ + top * @Q_ROW@, @Q_ROW@, @Q_COL@, high, WIDTH, queries);
      std::fill(sums, sums + BLOCK * PADDED, real(0));
      std::fill(peak, peak + BLOCK, -__builtin_inff());
      std::fill(total, total + BLOCK, real(0));
      for (int64_t first = 0; first < last_key; first += KEYS) {
        const int64_t held = std::min<int64_t>(KEYS, last_key - first);
        for (int64_t c = 0; c < held; c += NR)
          for (int64_t i = 0; i < high; i += MR)
            multiply(WIDTH, panel(queries + i * WIDTH), [&](int64_t k) { return keys + (first + c) * WIDTH + k * NR; },
                     scores + i * PITCH + c, PITCH, false);
        for (int64_t i = 0; i < high; ++i) {
          real* const row = scores + i * PITCH;
          const int64_t seen = @SEEN@;
          vec top_lanes = splat(-__builtin_inff());
@SCORE@
          const real new_peak = std::max(peak[i], across(top_lanes, [](vec a, vec b) { return a > b ? a : b; }));
          // A row without any score yet must not compute inf - inf.
          const real base = new_peak == -__builtin_inff() ? 0 : new_peak;
          vec sum_lanes = {};
          int64_t e = 0;
          for (; e < seen; e += W) {
            const vec p = v_exp(load(row + e) - base);
            store(row + e, p);
            sum_lanes += p;
          }
          for (; e < held; e += W) store(row + e, vec{});
          if (new_peak > peak[i]) {
            const real shrink = v_exp(splat(peak[i] - base))[0];
            total[i] *= shrink;
            for (int64_t j = 0; j < PADDED; j += W) store(sums + i * PADDED + j, load(sums + i * PADDED + j) * shrink);
            peak[i] = new_peak;
          }
          total[i] += across(sum_lanes, [](vec a, vec b) { return a + b; });
        }
        for (int64_t j = 0; j < PADDED; j += NR)
          for (int64_t i = 0; i < high; i += MR)
            multiply(held, [&](int64_t r, int64_t k) { return scores[(i + r) * PITCH + k]; },
                     [&](int64_t k) { return values + j * SK + (first + k) * NR; },
                     sums + i * PADDED + j, PADDED, true);
      }
      for (int64_t i = 0; i < high; ++i) {
        const real inverse = @INVERSE@;
@STORE@
      }
    }
  }
}
"""
