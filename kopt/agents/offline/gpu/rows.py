"""Prologues and epilogues in Triton: pointwise work at the elements of one value, wherever a kernel makes or reads it.

The counterpart of :meth:`kopt.agents.offline.epilogue.Rows.row`: there a register along a row, here a block of any
shape, whose index along each dimension of the value is given as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kopt.agents.offline.epilogue import Epilogue, Rows
from kopt.agents.offline.gpu.kernel import Kernel
from kopt.agents.offline.lower import Leaf, Output


def address(kernel: Kernel, rows: Rows, place: Leaf | Output, index: Sequence[str]) -> str:
    """``tensor_p + ...``: where an element lies, given its index along each of ``rows.dims``."""
    return " + ".join([kernel.pointer(place.tensor), *_terms(kernel, rows, place, index)])


def _terms(kernel: Kernel, rows: Rows, place: Leaf | Output, index: Sequence[str]) -> list[str]:
    terms = [kernel.size(place.offset)] if isinstance(place, Leaf) and any(place.offset) else []
    return terms + [kernel.times(at, stride) for at, stride in rows.steps(place, index, kernel.size, "//")]


def evaluate(
    kernel: Kernel,
    rows: Rows,
    index: Sequence[str],
    mask: str | Sequence[str],
    known: Mapping[str, str] | None = None,
) -> str:
    """Statements for ``rows.root`` at a block of elements; returns the text of its value, float32.

    Args:
        kernel: where the statements go.
        rows: a prologue, or an epilogue.
        index: the block's index along each of ``rows.dims``: blocks that broadcast against each other.
        mask: truth block of the elements that exist; empty when all do. Others are loaded as 0. Or one for each of
            ``rows.dims``, so that what repeats along a dimension is loaded once for all of it.
        known: leaves that are values already (an epilogue's own value, under ``Epilogue.name``).
    """
    known = known or {}

    def load(name: str) -> str:
        if name in known:
            return known[name]
        leaf = rows.leaves[name]
        if leaf.counted:
            return kernel.counted(_terms(kernel, rows, leaf, index), integer=leaf.integer)
        if not leaf.tensor:
            return f"({kernel.size(name.partition(':')[2])} * 1.0)"
        text, where = f"{rows.prefix}_{name}", _existing(rows, leaf, mask)
        masked = f", mask={where}, other=0" if where else ""
        kind = "tl.int32" if leaf.integer else kernel.real
        kernel.add(f"{text} = tl.load({address(kernel, rows, leaf, index)}{masked}).to({kind})")
        return text

    return kernel.value(rows.root, load, {}, rows.prefix)


def _existing(rows: Rows, place: Leaf | Output, mask: str | Sequence[str]) -> str:
    """The mask of what is read or written at a place."""
    steps = {axis for axis, stride in place.strides() if any(stride)}
    if isinstance(mask, str):
        return mask if steps else ""
    along = [m for m, dim in zip(mask, rows.dims, strict=True) if m and not steps.isdisjoint(dim)]
    return " & ".join(dict.fromkeys(along))


def finish(
    kernel: Kernel, epilogue: Epilogue, index: Sequence[str], mask: str | Sequence[str], value: str
) -> None:
    """Evaluate an epilogue at ``value`` (a float32 block) and store the result where it belongs."""
    result = evaluate(kernel, epilogue, index, mask, {epilogue.name: value})
    where = mask if isinstance(mask, str) else " & ".join(dict.fromkeys(m for m in mask if m))
    masked = f", mask={where}" if where else ""
    kernel.add(f"tl.store({address(kernel, epilogue, epilogue.output, index)}, {result}{masked})")
