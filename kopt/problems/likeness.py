"""What a wrong result is instead of the right one: a step, the result without a step, a factor. Inside the sandbox.

Guesses are told as such and decide nothing. Each is tried on the wrong elements alone, of which enough are looked at
that they do not agree by chance.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from kopt.problems.instance import Instance
from kopt.problems.mutating import Mutated, droppable
from kopt.words import Likeness, LikenessKind

_LOOKED_AT = 1 << 22  # elements of an output
_COMPARED = 1 << 14  # wrong ones among them
_SHARE = 0.99
_EDGES = 0.85  # of the elements, where a shift leaves some without a neighbour
_FEW = 4
_NEAR = 0.02  # relative error that rounding may still explain
Arguments = Callable[[], list[Any]]
_PLAIN = (LikenessKind.FACTOR, LikenessKind.OFFSET)


def near(one: torch.Tensor, other: torch.Tensor, scale: float) -> torch.Tensor:
    """Elementwise equal but for rounding of another kind; ``scale`` is what is not small."""
    if not (one.is_floating_point() and other.is_floating_point()):
        return one == other
    loose = max(1e-4, 8 * max(torch.finfo(one.dtype).eps, torch.finfo(other.dtype).eps))
    a, b = (value.double() for value in (one, other))
    same = (a - b).abs() <= loose * (b.abs() + 0.1 * scale)
    return same | (a == b) | (a.isnan() & b.isnan())


@dataclass(frozen=True)
class Wrong:
    """A wrong output beside the right one, and where (``at``: an index tensor for every axis) they differ."""

    got: torch.Tensor
    want: torch.Tensor
    scale: float
    mask: torch.Tensor
    at: tuple[torch.Tensor, ...]

    @classmethod
    def of(cls, got: torch.Tensor, want: torch.Tensor) -> Wrong:
        """Compare two outputs of one shape."""
        one, other = got.reshape(-1), want.reshape(-1)
        looked = torch.arange(0, other.numel(), max(1, other.numel() // _LOOKED_AT | 1))
        scale = _rms(other[looked])
        flat = torch.cat([~near(a, b, scale) for a, b in _parts(one, other)])
        mask = flat.reshape(want.shape)
        chosen = looked[flat[looked]]
        chosen = chosen[:: max(1, chosen.numel() // _COMPARED)]
        at = torch.unravel_index(chosen, want.shape) if want.dim() else ()
        return cls(got, want, scale, mask, tuple(at))

    @property
    def seen(self) -> torch.Tensor:
        """The wrong elements that are compared."""
        return self.pick(self.got)

    def pick(self, like: torch.Tensor) -> torch.Tensor:
        """The same elements of another tensor of this shape."""
        return like[self.at] if self.at else like.reshape(1)[: int(self.mask.any())]


def matches(wrong: Wrong, other: torch.Tensor, share: float = _SHARE) -> bool:
    """Whether the wrong elements are those of ``other``, which may broadcast to the output's shape."""
    try:
        spread = other.expand(wrong.want.shape)
    except RuntimeError:
        return False
    seen, there = wrong.seen, wrong.pick(spread)
    if not seen.numel():
        return False
    return float(near(seen, there, _rms(there)).double().mean()) >= share


def _parts(one: torch.Tensor, other: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Two flat tensors side by side, so much at a time as may be widened."""
    for first in range(0, max(1, one.numel()), _LOOKED_AT):
        yield one[first : first + _LOOKED_AT], other[first : first + _LOOKED_AT]


def _rms(values: torch.Tensor) -> float:
    if not values.is_floating_point():
        return 0.0
    finite = values[values.isfinite()].double()
    return math.sqrt(float(finite.square().mean())) if finite.numel() else 0.0


def guess(
    instance: Instance,
    arguments: Arguments,
    output: int,
    wrong: Wrong,
    equal_steps: Sequence[int],
    until: float,
) -> Likeness | None:
    """The first kind that fits, simple ones first; None when none does.

    Args:
        instance: the workload.
        arguments: makes those of the call, each time anew.
        output: the number of the output.
        wrong: that output and the right one.
        equal_steps: the steps whose values the wrong elements are.
        until: ``time.monotonic`` seconds after which no damaged reference is run any more.
    """
    seen = wrong.seen
    if not seen.numel():
        return _precision(wrong, math.inf)
    if seen.numel() >= _FEW and _constant(seen):
        return Likeness(kind=LikenessKind.CONSTANT, value=float(seen[0]))
    if equal_steps:
        return Likeness(kind=LikenessKind.STEP, step=equal_steps[-1])
    return (
        _moved(wrong)
        or _without(instance, arguments, output, wrong, until)
        or _scaled(wrong)
        or _precision(wrong, _NEAR)
    )


def _precision(wrong: Wrong, most: float) -> Likeness | None:
    if not wrong.want.is_floating_point():
        return None
    largest = 0.0
    for got, want in _parts(wrong.got.reshape(-1), wrong.want.reshape(-1)):
        apart = (got.double() - want.double()).abs() / (want.double().abs() + 0.1 * wrong.scale)
        largest = (
            max(largest, float(apart.nan_to_num(math.inf, math.inf).max())) if apart.numel() else largest
        )
    return Likeness(kind=LikenessKind.PRECISION, value=largest) if largest <= most else None


def _constant(seen: torch.Tensor) -> bool:
    if seen.is_floating_point() and bool(seen.isnan().any()):
        return bool(seen.isnan().all())
    return bool((seen == seen[0]).all())


def _moved(wrong: Wrong) -> Likeness | None:
    want = wrong.want
    if wrong.seen.numel() < _FEW:
        return None
    if want.dim() > 1 and matches(wrong, want.mT.reshape(want.shape)):
        return Likeness(kind=LikenessKind.TRANSPOSED)
    for axis in range(want.dim()):
        for by in (1, -1) if want.shape[axis] > 2 else ():
            if matches(wrong, want.roll(by, axis), _EDGES):
                return Likeness(kind=LikenessKind.SHIFTED, axis=axis, value=float(by))
    return None


def _scaled(wrong: Wrong) -> Likeness | None:
    """A factor or an offset, found last: leaving out a step may be one."""
    got, want = wrong.seen.double(), wrong.pick(wrong.want).double()
    large = want.abs() > 1e-3 * wrong.scale
    if not wrong.want.is_floating_point() or int(large.sum()) < _FEW or bool((want == want[0]).all()):
        return None
    for kind, values in zip(_PLAIN, (got[large] / want[large], got - want), strict=True):
        middle = values.median()
        size = middle.abs() + (wrong.scale if kind is LikenessKind.OFFSET else 0.0)
        close = (values - middle).abs() <= 1e-3 * size
        nothing = abs(float(middle) - (kind is LikenessKind.FACTOR)) <= 1e-3 * float(size)
        if bool(middle.isfinite()) and not nothing and float(close.double().mean()) >= _SHARE:
            return Likeness(kind=kind, value=float(middle))
    return None


def _without(
    instance: Instance, arguments: Arguments, output: int, wrong: Wrong, until: float
) -> Likeness | None:
    """Run the reference with one piece left out at a time, until one gives the wrong elements."""
    model = instance.model
    for call, operand, _ in droppable(instance, arguments()):
        damaged = Mutated(model, (call, operand), None)
        if _gives(instance, damaged, arguments, output, wrong, until):
            return Likeness(kind=LikenessKind.WITHOUT, step=call + 1)
    for name, tensor in instance.state().items():
        if tensor.is_floating_point():
            for value in (0.0, 1.0):
                damaged = Mutated(model, None, name, value)
                if _gives(instance, damaged, arguments, output, wrong, until):
                    return Likeness(kind=LikenessKind.STATE, name=name, value=value)
    return None


def _gives(
    instance: Instance,
    damaged: Mutated,
    arguments: Arguments,
    output: int,
    wrong: Wrong,
    until: float,
) -> bool:
    if time.monotonic() > until:
        return False
    instance.restore()
    try:
        with torch.no_grad():
            results = instance.outputs_of(damaged(*arguments()))
    except Exception:  # what is left need not make sense
        return False
    finally:
        instance.restore()
    result = results[output] if output < len(results) else None
    return result is not None and result.shape == wrong.want.shape and matches(wrong, result)
