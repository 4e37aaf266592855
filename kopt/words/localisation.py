"""Where a result went wrong: the reference's intermediate values there, and what the result is instead."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class LikenessKind(enum.StrEnum):
    """What wrong elements turn out to be."""

    PRECISION = "precision"
    CONSTANT = "constant"
    STEP = "step"
    WITHOUT = "without"
    STATE = "state"
    FACTOR = "factor"
    OFFSET = "offset"
    TRANSPOSED = "transposed"
    SHIFTED = "shifted"


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """One kind, with what it is about.

    ``step`` is the number of a step (``STEP``, ``WITHOUT``), ``name`` that of a state tensor (``STATE``). ``value`` is
    the largest relative error (``PRECISION``), the constant, what the state is replaced by, the factor, the offset, or
    by how many elements the result is shifted along ``axis``.
    """

    kind: LikenessKind
    step: int | None = None
    name: str = ""
    value: float | None = None
    axis: int | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One call of the reference's, counted from 1, and its result.

    ``line`` is that of the problem's own file. ``value`` is the result at the element of the output that is most wrong,
    None where its shape does not tell which element that is; ``low`` and ``high`` are its range.
    """

    number: int
    name: str
    line: int | None
    shape: tuple[int, ...]
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Span:
    """Where wrong elements lie along one axis of ``size``: from ``first`` to ``last``, each ``every``-th."""

    first: int
    last: int
    every: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Localisation:
    """What comparing a wrong output with the reference's steps told.

    ``region`` is the smallest box around the wrong elements, an axis each; ``solid`` when all in it are wrong. Of many
    steps the last ones are listed.
    """

    output: str
    index: tuple[int, ...]
    region: tuple[Span, ...]
    solid: bool
    steps: tuple[Step, ...]
    likeness: Likeness | None = None
