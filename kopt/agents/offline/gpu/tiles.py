"""Tiles of a product: their sizes, which programs take which, and the precision of ``tl.dot``.

After Triton's matrix multiplication tutorial: programs that run at the same time take GROUP tiles down before the next
across, so that what they read of both factors is shared in the second-level cache.
"""

from __future__ import annotations

from collections.abc import Sequence

from kopt.agents.offline.axes import Size
from kopt.agents.offline.contraction.operands import Factor, pointer
from kopt.agents.offline.gpu.kernel import Kernel, power_of_two
from kopt.agents.offline.graph import Graph
from kopt.words import Tunable

CONSTANTS = {name: name for name in ("BLOCK_M", "BLOCK_N", "BLOCK_K", "GROUP")}
"""What a kernel of tiles takes at compile time: tunables of the same names."""
OPTIONS = {"num_warps": "WARPS", "num_stages": "STAGES"}
"""How it is launched."""
LEAST = 16
"""The smallest side of a tile that tensor cores take."""


def power(count: int) -> int:
    """The next power of two, and at least :data:`LEAST`."""
    return max(LEAST, power_of_two(count))


def half(graph: Graph, name: str) -> bool:
    """Whether a factor is of half precision, which tensor cores multiply exactly; float32 goes without them."""
    return graph.values[name].dtype in ("float16", "bfloat16")


def dot(left: str, right: str, total: str, *, halves: bool) -> str:
    """``total + left @ right``: float32 sums of exact products; float32 factors are not rounded to TF32."""
    return f"tl.dot({left}, {right}, {total}" + ("" if halves else ', input_precision="ieee"') + ")"


def tunables(rows: Size, columns: Size, depth: Size, *, halves: bool) -> tuple[Tunable, ...]:
    """Sides of a tile for the largest of these sizes, and how it is run.

    All choices together fit an H100's 227 KiB of shared memory, the defaults the 99 KiB of small GPUs.
    """
    most, deep = (128, 64) if halves else (64, 32)
    m, n = min(most, power(max(rows))), min(most, power(max(columns)))
    k = min(deep, power(max(depth)))
    wide = (32, 64, 128, 256) if halves else (32, 64, 128)
    return (
        Tunable(name="BLOCK_M", choices=tuple(sorted({m, 16, 32, 64, 128})), default=m),
        Tunable(name="BLOCK_N", choices=tuple(sorted({n, *wide})), default=n),
        Tunable(name="BLOCK_K", choices=tuple(sorted({k, deep // 2, deep})), default=k),
        Tunable(name="GROUP", choices=(1, 4, 8, 16), default=8),
        Tunable(name="WARPS", choices=(2, 4, 8), default=8 if m * n > 64 * 64 else 4),
        Tunable(name="STAGES", choices=(2, 3, 4), default=3),
    )


def place(kernel: Kernel, rows: str, columns: str, outer: str = "") -> None:
    """Statements for this program's ``rows`` and ``cols`` (64-bit), and for ``rows_in`` and ``cols_in``: which exist.

    Args:
        kernel: where they go.
        rows: text of how many there are.
        columns: likewise.
        outer: the name of a third index (batch, group), over whose values the tiles repeat.
    """
    kernel.add(
        f"down, across = tl.cdiv({rows}, BLOCK_M), tl.cdiv({columns}, BLOCK_N)", "tile = tl.program_id(0)"
    )
    if outer:
        kernel.add(f"{outer} = (tile // (down * across)).to(tl.int64)", "tile = tile % (down * across)")
    kernel.add(
        "first = tile // (GROUP * across) * GROUP",
        "high = tl.minimum(down - first, GROUP)",
        "at = tile % (GROUP * across)",
        "rows = (first + at % high).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)",
        "cols = (at // high).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)",
        f"rows_in, cols_in = (rows < {rows})[:, None], (cols < {columns})[None, :]",
    )


def start(kernel: Kernel, held: Factor, batch: Sequence[Size]) -> str:
    """Where a factor begins, for the index ``batch`` over these dimensions."""
    kernel.pointer(held.parameter)
    return pointer(held, batch, kernel.size, divide="//")


def step(kernel: Kernel, index: str, stride: Size) -> str:
    """What an index adds to an address; has the index's shape even where the stride is 0."""
    text = kernel.size(stride)
    return index if text == "1" else f"{index} * {text}"


def grid(rows: str, columns: str, outer: Sequence[str] = ()) -> list[str]:
    """How many programs :func:`place` needs, as Python over the arguments' sizes: all on axis 0, which takes 2^31."""
    blocks = [f"triton.cdiv({rows}, BLOCK_M)", f"triton.cdiv({columns}, BLOCK_N)"]
    return [" * ".join([*(f"({n})" if not n.isalnum() else n for n in outer), *blocks])]


def comment(*, halves: bool) -> list[str]:
    """For the file's head: how it is launched and why."""
    precision = "half precision on tensor cores" if halves else "full float32 products, never TF32"
    return [
        "Launch: a program per BLOCK_M x BLOCK_N results. Neighbouring programs take GROUP tiles down before the next "
        "across (Triton's tutorial on matrix multiplication): what they read is then shared in the second-level cache.",
        f"Sums are float32, of {precision}; STAGES blocks of BLOCK_K are in flight while one is multiplied.",
    ]
