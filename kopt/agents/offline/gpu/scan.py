"""Running sums and products in Triton: tiles that walk along the axis, and several programs where a row has only few.

The same mathematics as :mod:`kopt.agents.offline.scan`, from whose plan the kernels are made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kopt.agents.offline.expr import text
from kopt.agents.offline.gpu.file import Launch, triton_candidate
from kopt.agents.offline.gpu.kernel import Kernel, power_of_two
from kopt.agents.offline.gpu.rows import evaluate, finish
from kopt.words import Candidate, Tunable

if TYPE_CHECKING:
    from kopt.agents.offline.scan import Plan

TILE = 1024
"""Elements of a tile: eight doubles for each thread of four warps."""
ENOUGH = 1024
"""With at least this many programs, no row is cut."""


def candidate(plan: Plan) -> Candidate:
    """The Triton kernels of a scan.

    Raises:
        Unsupported: what comes before or after has no Triton form, or is computed in double precision.
    """
    made = _shape(plan)
    launches = [_scan(plan, made)]
    if made.cut:
        launches.insert(0, _sums(plan, made))
    order = "l, l + 1, ..." if plan.reverse else "0, 1, ..., l"
    comment = [
        f"{plan.after.text('y')} with y[l] = {plan.kind} of {text(plan.before.root)} over {order} of axis {plan.dim}.",
        "",
        _TILES["inner" if plan.inner else "outer"],
        "A tile's running values begin with the last of the tile before. They are kept in double precision, as torch "
        "keeps them on a CPU: in float32 the error would grow along the axis, and what bounds the kernel is memory.",
        *([_CUT.format(plan.kind)] if made.cut else []),
    ]
    return triton_candidate(
        plan.graph,
        launches,
        title=plan.title,
        why="every element is read from memory once, whatever the axis" if not made.cut else _WHY_CUT,
        comment=comment,
        tunables=made.tunables,
        variables=made.variables,
        schedule=["scan"],
    )


_TILES = {
    "inner": "Tiles of ROWS rows times BLOCK elements: a program walks along its rows tile by tile.",
    "outer": "Tiles of ROWS steps along the axis times BLOCK neighbouring columns: lanes read neighbouring addresses, "
    "and ROWS loads are under way at a time.",
}
_CUT = (
    "Where that makes fewer than PROGRAMS programs, the axis is cut into PARTS pieces of PART elements. A first kernel "
    "leaves the {0} over each piece; then each piece begins with the {0} over those before it. The input is read twice "
    "then, the second time mostly from the cache."
)
_WHY_CUT = "every element is read from memory once; rows that are few are shared by many programs"


@dataclass(frozen=True)
class _Shape:
    """How the work is spread.

    Attributes:
        sizes: OUTER, LENGTH and INNER, over the arguments' sizes.
        tasks: programs beside each other, each for whole rows (or columns); as Python.
        step: the tunable that is a tile's extent along the axis.
        cut: whether rows may be cut into parts.
        tunables: of the file.
        variables: of the host.
    """

    sizes: dict[str, str]
    tasks: str
    step: str
    cut: bool
    tunables: Sequence[Tunable]
    variables: Sequence[str]


def _shape(plan: Plan) -> _Shape:
    sizes = plan.sizes()
    shape = plan.graph.values[plan.result].shape
    width = shape[-1]
    block = min(max(4, power_of_two(width)), TILE if plan.inner else 64)
    rows = max(1, min(TILE // block, 16 if plan.inner else 256))
    if plan.inner:
        tasks, step = f"triton.cdiv({sizes['OUTER']}, ROWS)", "BLOCK"
    else:
        tasks, step = _product(sizes["OUTER"], f"triton.cdiv({sizes['INNER']}, BLOCK)"), "ROWS"
    tunables = [
        Tunable(name="BLOCK", choices=_around(block), default=block),
        Tunable(name="ROWS", choices=_around(rows), default=rows),
        Tunable(name="WARPS", choices=(2, 4, 8), default=4),
    ]
    cut = _few(plan, sizes, block, rows)
    if not cut:
        return _Shape(sizes, tasks, step, False, tunables, ())
    tunables.append(Tunable(name="PROGRAMS", choices=(1, 256, 512, ENOUGH), default=512))
    length = sizes["LENGTH"]
    variables = [
        f"PARTS = min(triton.cdiv({length}, {step}), max(1, PROGRAMS // ({tasks})))",
        f"PART = triton.cdiv(triton.cdiv({length}, PARTS), {step}) * {step}",
        f"PARTS = triton.cdiv({length}, PART)",
    ]
    return _Shape(sizes, tasks, step, True, tunables, variables)


def _few(plan: Plan, sizes: dict[str, str], block: int, rows: int) -> bool:
    """Whether there may be so few rows that it pays to cut them."""
    fixed = {name: int(size) for name, size in sizes.items() if re.fullmatch(r"\d+", size)}
    if "LENGTH" in fixed and fixed["LENGTH"] <= (block if plan.inner else rows):
        return False
    across = fixed.get("OUTER", 0)
    if plan.inner:
        return across // rows < ENOUGH
    return across * fixed.get("INNER", 0) // block < ENOUGH


def _product(*sizes: str) -> str:
    return " * ".join(f"({s})" if "/" in s else s for s in sizes if s != "1")


def _around(size: int) -> tuple[int, ...]:
    return tuple(n for n in (size // 4, size // 2, size, size * 2, size * 4) if n)


class _Tile:
    """Index blocks and masks of one tile; what the two kernels have in common."""

    def __init__(self, plan: Plan, made: _Shape, name: str) -> None:
        self.plan, self.made = plan, made
        self.kernel = kernel = Kernel(plan.graph, name)
        self.axis = 1 if plan.inner else 0
        self.identity = "1.0" if plan.kind == "product" else "0.0"
        self.length = kernel.size(made.sizes["LENGTH"])
        self.along = self._lanes(made.step, along=True)
        across = self._lanes("ROWS" if plan.inner else "BLOCK", along=False)
        kernel.add("task = tl.program_id(0).to(tl.int64)")
        if plan.inner:
            kernel.add(f"row = task * ROWS + {across}", f"mine = row < {kernel.size(made.sizes['OUTER'])}")
            self.shape = "(ROWS, 1)"
        else:
            inner = kernel.size(made.sizes["INNER"])
            kernel.add(
                f"tiles = tl.cdiv({inner}, BLOCK)",
                "outer = task // tiles",
                f"column = (task % tiles) * BLOCK + {across}",
                f"mine = column < {inner}",
            )
            self.shape = "(1, BLOCK)"
        self.masks = ["mine", "there"] if plan.inner else ["", "there", "mine"]
        self.index = ["row", "at"] if plan.inner else ["outer", "at", "column"]

    def _lanes(self, count: str, *, along: bool) -> str:
        """Numbers 0, 1, ... along one of the tile's axes."""
        return f"tl.arange(0, {count}){'[None, :]' if along == self.plan.inner else '[:, None]'}"

    def loaded(self, start: str) -> None:
        """Add statements that make ``x``, the tile from ``start`` on, in double precision."""
        self.kernel.add(f"at = {start} + {self.along}", f"there = at < {self.length}")
        value = evaluate(self.kernel, self.plan.before, self.index, self.masks)
        self.kernel.add(f"x = tl.where(there, {value}, {self.identity}).to(tl.float64)")

    def scanned(self, block: str) -> str:
        """A tile's running values, from its own beginning."""
        name = "cumprod" if self.plan.kind == "product" else "cumsum"
        return f"tl.{name}({block}, {self.axis}{', reverse=True' if self.plan.reverse else ''})"

    def last(self, block: str) -> str:
        """The running value at the tile's far end."""
        end = "0" if self.plan.reverse else f"{self.made.step} - 1"
        return f"tl.sum(tl.where({self.along} == {end}, {block}, 0.0), {self.axis}, keep_dims=True)"

    def whole(self, block: str) -> str:
        """Sum or product of a tile along the axis."""
        if self.plan.kind == "product":  # no reduction that Triton has by name
            return self.last(self.scanned(block))
        return f"tl.sum({block}, {self.axis}, keep_dims=True)"

    def join(self, a: str, b: str) -> str:
        """Two partial results as one."""
        return self.kernel.joined("prod" if self.plan.kind == "product" else "sum", a, b)

    def place(self, part: str) -> str:
        """Where the sums of parts lie: outer index, part, inner index."""
        sums, parts = self.kernel.pointer("sums"), self.kernel.size("PARTS")
        if self.plan.inner:
            return f"{sums} + row * {parts} + {part}"
        return f"{sums} + (outer * {parts} + {part}) * {self.kernel.size(self.made.sizes['INNER'])} + column"

    def launch(self, grid: Sequence[str], **scratch: str) -> Launch:
        """The kernel, with what it needs."""
        return Launch(
            self.kernel, grid, {"ROWS": "ROWS", "BLOCK": "BLOCK"}, scratch=scratch, scratch_type="float64"
        )


def _sums(plan: Plan, made: _Shape) -> Launch:
    """What is left of each part but the last, for those behind it."""
    tile = _Tile(plan, made, "sums_kernel")
    kernel, step = tile.kernel, made.step
    part = kernel.size("PART")
    # backward, what the first part adds up to is of no use: all are one further on
    kernel.add(f"part = tl.program_id(1).to(tl.int64){' + 1' if plan.reverse else ''}")
    kernel.add(f"total = tl.full((ROWS, BLOCK), {tile.identity}, tl.float64)")
    with kernel.loop("j", "0", part, step):
        tile.loaded(f"part * {part} + j")
        kernel.add(f"total = {tile.join('total', 'x')}")
    kernel.add(f"tl.store({tile.place('part')}, {tile.whole('total')}, mask=mine)")
    size = _product(made.sizes["OUTER"], "PARTS", "1" if plan.inner else made.sizes["INNER"])
    return tile.launch([made.tasks, "PARTS - 1"], sums=size)


def _scan(plan: Plan, made: _Shape) -> Launch:
    """The running values themselves."""
    tile = _Tile(plan, made, "scan_kernel")
    kernel, step = tile.kernel, made.step
    begin, extent = "", f"tl.cdiv({tile.length}, {step}) * {step}"
    if not made.cut:
        kernel.add(f"carry = tl.full({tile.shape}, {tile.identity}, tl.float64)")
    else:
        extent, parts = kernel.size("PART"), kernel.size("PARTS")
        kernel.add(
            "part = tl.program_id(1).to(tl.int64)",
            f"before = tl.full((ROWS, BLOCK), {tile.identity}, tl.float64)",
        )
        first, last = ("part + 1", parts) if plan.reverse else ("0", "part")
        with kernel.loop("p", first, last, step):
            kernel.add(f"other = p + {tile.along}")
            there = f"mine & (other < {last})"
            kernel.add(f"s = tl.load({tile.place('other')}, mask={there}, other={tile.identity})")
            kernel.add(f"before = {tile.join('before', 's')}")
        kernel.add(f"carry = {tile.whole('before')}")
        begin = f"part * {extent} + "
    with kernel.loop("j", "0", extent, step):
        tile.loaded(f"{begin}{f'({extent} - {step} - j)' if plan.reverse else 'j'}")
        kernel.add(
            f"y = {tile.join('carry', tile.scanned('x'))}",
            f"carry = {tile.last('y')}",
            "value = y.to(tl.float32)",
        )
        finish(kernel, plan.after, tile.index, tile.masks, "value")
    return tile.launch([made.tasks, *(["PARTS"] if made.cut else [])])
