"""Attention in Triton: a program per block of queries of a head, which walks the keys with an online softmax.

After FlashAttention (Dao et al.) as Triton's tutorial writes it: scores never leave registers; when a block of keys
raises a row's maximum, what was summed so far is rescaled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kopt.agents.offline.axes import Size
from kopt.agents.offline.contraction.operands import product
from kopt.agents.offline.gpu import rows, tiles
from kopt.agents.offline.gpu.file import Launch, triton_candidate
from kopt.agents.offline.gpu.kernel import Kernel
from kopt.agents.offline.graph import Graph, Unsupported
from kopt.words import Candidate, Tunable

if TYPE_CHECKING:
    from kopt.agents.offline.attention import Plan

WIDEST = 256
"""The widest head whose sums a program holds in registers."""
SHARED = 192 << 10
"""Bytes of an H100's shared memory that queries, keys and values of a block may take."""


def candidate(plan: Plan) -> Candidate:
    """The Triton candidate of an attention.

    Raises:
        Unsupported: heads are too wide, or what is fused has no Triton form.
    """
    graph = plan.graph
    width, out = max(plan.width), max(plan.values)
    if max(width, out) > WIDEST:
        raise Unsupported(f"a head of width {max(width, out)} is more than a program holds ({WIDEST})")
    heads = graph.size(product(plan.batch)) if plan.batch else ""
    blocks = f"triton.cdiv({graph.size(plan.queries)}, QUERIES)"
    launch = Launch(
        _kernel(plan),
        [f"({heads}) * {blocks}" if heads else blocks],
        {
            "QUERIES": "QUERIES",
            "KEYS": "KEYS",
            "WIDTH": _padded(graph, plan.width),
            "OUT": _padded(graph, plan.values),
        },
        options=tiles.OPTIONS,
    )
    causal = ", only k <= i" if plan.parts.causal else ""
    score = plan.score.text("q[i] . k[k]").removeprefix("out = ")
    return triton_candidate(
        graph,
        [launch],
        title=plan.title,
        why="scores stay in registers; keys and values are read once per block of queries",
        comment=[
            f"{plan.after.text('y')}; y = softmax(s) v, s[i, k] = {score} "
            f"with q = {plan.q.parameter}, k = {plan.k.parameter}, v = {plan.v.parameter}{causal}.",
            "Launch: a program per head and QUERIES queries, which walks the keys, KEYS at a time. WIDTH and OUT are "
            "the widths of a head, padded to powers of two.",
            "Online softmax in float32: where a block raises a row's maximum, what was summed under the old one is "
            "scaled by exp(old - new)."
            + (" Blocks in the future are never read; long rows start first." if plan.parts.causal else ""),
        ],
        tunables=_tunables(plan, tiles.power(width), tiles.power(out)),
        schedule=["online softmax"],
    )


def _padded(graph: Graph, width: Size) -> str:
    """A head's width as ``tl.arange`` and ``tl.dot`` want it, as Python."""
    if len(set(width)) == 1:
        return str(tiles.power(width[0]))
    return f"max({tiles.LEAST}, triton.next_power_of_2({graph.size(width)}))"


def _tunables(plan: Plan, width: int, out: int) -> tuple[Tunable, ...]:
    halves = tiles.half(plan.graph, plan.q.parameter)
    most = (128 if max(width, out) <= 128 else 64) if halves else 64
    queries = min(most, tiles.power(max(plan.queries)))
    keys = min((64 if halves else 32), tiles.power(max(plan.keys)))
    bytes_each, held = 2 if halves else 4, queries * max(width, out)
    room = SHARED - most * width * bytes_each
    fits = [n for n in (16, 32, 64, 128) if n * (width + out) * bytes_each * 3 <= room and n <= 2 * most]
    return (
        Tunable(name="QUERIES", choices=tuple(sorted({queries, 16, 32, 64, most})), default=queries),
        Tunable(name="KEYS", choices=tuple(sorted({keys, *fits})), default=keys),
        Tunable(name="WARPS", choices=(2, 4, 8), default=8 if held > (64 << 7 if halves else 64 << 6) else 4),
        Tunable(name="STAGES", choices=(1, 2, 3), default=2),
    )


def _kernel(plan: Plan) -> Kernel:
    graph, parts, k = plan.graph, plan.parts, Kernel(plan.graph)
    size, halves = k.size, tiles.half(graph, plan.q.parameter)
    queries, keys = size(plan.queries), size(plan.keys)
    k.add(f"blocks = tl.cdiv({queries}, QUERIES)", "block = tl.program_id(0) % blocks")
    if parts.causal:
        k.add("block = blocks - 1 - block")
    if plan.batch:
        k.add("batch = (tl.program_id(0) // blocks).to(tl.int64)")
    k.add(
        "rows = block.to(tl.int64) * QUERIES + tl.arange(0, QUERIES)",
        f"rows_in = (rows < {queries})[:, None]",
    )
    # Factors: queries [row, width], keys [width, key], values [key, out]; what pads a width is read as 0.
    wide = [] if _exact(plan.width) else [f"(tl.arange(0, WIDTH) < {size(plan.width)})"]
    out = [] if _exact(plan.values) else [f"(tl.arange(0, OUT) < {size(plan.values)})"]
    k.add("width, cols = tl.arange(0, WIDTH).to(tl.int64), tl.arange(0, OUT).to(tl.int64)")
    at = [tiles.start(k, held, plan.batch) for held in (plan.q, plan.k, plan.v)]
    q = f"{at[0]} + {tiles.step(k, 'rows[:, None]', plan.q.along)} + {tiles.step(k, 'width[None, :]', plan.q.depth)}"
    mask = " & ".join(["rows_in", *(f"{w}[None, :]" for w in wide)])
    k.add(f"q = tl.load({q}, mask={mask}, other=0)")
    k.add(f"key_at = {at[1]} + {tiles.step(k, 'width[:, None]', plan.k.depth)}")
    k.add(f"value_at = {at[2]} + {tiles.step(k, 'cols[None, :]', plan.v.along)}")
    k.add(
        "peak = tl.full((QUERIES,), float('-inf'), tl.float32)",
        "total = tl.zeros((QUERIES,), tl.float32)",
        "sums = tl.zeros((QUERIES, OUT), tl.float32)",
    )
    last = f"tl.minimum({keys}, (block + 1) * QUERIES)" if parts.causal else keys
    with k.loop("first", "0", last, "KEYS"):
        k.add("keys = first + tl.arange(0, KEYS)", f"keys_in = keys < {keys}")
        mask = " & ".join(["keys_in[None, :]", *(f"{w}[:, None]" for w in wide)])
        k.add(f"key = tl.load(key_at + {tiles.step(k, 'keys[None, :]', plan.k.along)}, mask={mask}, other=0)")
        mask = " & ".join(["keys_in[:, None]", *(f"{o}[None, :]" for o in out)])
        k.add(
            f"value = tl.load(value_at + {tiles.step(k, 'keys[:, None]', plan.v.depth)}, mask={mask}, other=0)"
        )
        zeros = "tl.zeros((QUERIES, KEYS), tl.float32)"
        k.add(f"scores = {tiles.dot('q', 'key', zeros, halves=halves)}")
        index, masks = _index(plan, "keys[None, :]", "keys_in[None, :]")
        score = rows.evaluate(k, plan.score, index, masks, {plan.score.name: "scores"})
        seen = "keys_in[None, :]" + (" & (keys[None, :] <= rows[:, None])" if parts.causal else "")
        k.add(
            f"scores = tl.where({seen}, {score}, float('-inf'))",
            "new = tl.maximum(peak, tl.max(scores, 1))",
            "base = tl.where(new == float('-inf'), 0.0, new)  # a row without any key yet: not inf - inf",
            "weights = tl.exp(scores - base[:, None])",
            "shrink = tl.exp(peak - base)",
            "total = total * shrink + tl.sum(weights, 1)",
            "sums = sums * shrink[:, None]",
            f"sums = {tiles.dot('weights.to(value.dtype)', 'value', 'sums', halves=halves)}",
            "peak = new",
        )
    if parts.zero_when_masked:
        k.add("total = tl.where(total == 0, 1.0, total)  # rows that see no key are 0")
    k.add("sums = sums / total[:, None]")
    index, masks = _index(plan, "cols[None, :]", f"{out[0]}[None, :]" if out else "")
    rows.finish(k, plan.after, index, masks, "sums")
    return k


def _index(plan: Plan, last: str, mask: str) -> tuple[list[str], list[str]]:
    """Indices and masks along (batch, row, last dimension)."""
    batch = bool(plan.batch)
    return ["batch", "rows[:, None]", last][not batch :], ["", "rows_in", mask][not batch :]


def _exact(width: Size) -> bool:
    """Whether a width needs no padding."""
    return len(set(width)) == 1 and tiles.power(width[0]) == width[0]
