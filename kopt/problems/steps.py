"""Follow a reference call by call beside a wrong result. Runs inside the sandbox.

LDB (Zhong et al., 2024, "Debug like a Human") shows a model the intermediate values of its program block by block. A
compiled kernel has none to show, the reference has: its calls are the blocks, and their values at the element that is
most wrong say where a kernel leaves the path. :mod:`kopt.problems.likeness` says what the result is instead.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from kopt.problems.instance import Instance
from kopt.problems.likeness import Wrong, guess, matches
from kopt.problems.mutating import is_free
from kopt.words import Localisation, Span, Step

MOST_STEPS = 12
_MOST_NAME = 80


class _Steps(TorchFunctionMode):
    """Keeps of every call that computes something a :class:`Step`, and which of them the wrong elements equal."""

    def __init__(self, wrong: Wrong, index: tuple[int, ...], entry: str) -> None:
        super().__init__()
        self.wrong, self.index, self.entry = wrong, index, entry
        self.found: list[Step] = []
        self.equal: list[int] = []
        self.calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if is_free(name):
            return result
        self.calls += 1
        shown = result[0] if isinstance(result, (tuple, list)) and result else result
        if isinstance(shown, torch.Tensor) and shown.numel() and _plain_numbers(shown):
            with torch.no_grad():
                self._keep(_call(name, args, kwargs), shown.detach())
        return result

    def _keep(self, call: str, result: torch.Tensor) -> None:
        low, high = torch.aminmax(result.float() if result.is_floating_point() else result.long())
        step = Step(
            number=self.calls,
            name=call[:_MOST_NAME],
            line=_line(self.entry),
            shape=tuple(result.shape),
            value=value_at(result, self.index, tuple(self.wrong.got.shape)),
            low=float(low),
            high=float(high),
        )
        self.found.append(step)
        if matches(self.wrong, result):
            self.equal.append(self.calls)


def localise(
    instance: Instance,
    arguments: Sequence[Any],
    got: torch.Tensor,
    output: int,
    index: Sequence[int],
    seconds: float,
) -> Localisation:
    """Compare one wrong output with the reference's steps on the same inputs.

    Args:
        instance: the workload it was computed for.
        arguments: tensors and scalars in call order.
        got: what the candidate wrote.
        output: the number of the output.
        index: its most wrong element.
        seconds: after which nothing more is tried out.
    """
    until = time.monotonic() + seconds

    def fresh() -> list[Any]:  # a reference may change what it is given
        return [value.clone() if isinstance(value, torch.Tensor) else value for value in arguments]

    want = instance.call(fresh())[output].detach()
    wrong = Wrong.of(got, want)
    place = tuple(int(i) for i in index)
    steps = _Steps(wrong, place, instance.entry)
    instance.restore()
    with steps:
        instance.run(fresh())
    instance.restore()
    region = _region(wrong.mask)
    return Localisation(
        output=instance.spec().outputs[output].name,
        index=place,
        region=region,
        solid=_solid(wrong.mask, region),
        steps=tuple(steps.found[-MOST_STEPS:]),
        likeness=guess(instance, fresh, output, wrong, steps.equal, until),
    )


def _plain_numbers(tensor: torch.Tensor) -> bool:
    return tensor.layout is torch.strided and not (tensor.is_complex() or tensor.is_quantized)


def value_at(result: torch.Tensor, index: tuple[int, ...], shape: tuple[int, ...]) -> float | None:
    """The element of an intermediate result that belongs to an output's element, if shapes tell.

    That is so for one that has as many axes and broadcasts, or that has this shape without some axes and only one way
    to leave them out: whether a square's rows or columns were added up is not to be seen by the result's shape.
    """
    own = tuple(result.shape)
    if len(own) == len(shape):
        fits = all(n in (1, m) for n, m in zip(own, shape, strict=True))
        place = tuple(0 if n == 1 else i for n, i in zip(own, index, strict=True))
        return float(result[place]) if fits else None
    ways = _ways(own, shape)
    return float(result[tuple(index[axis] for axis in ways[0])]) if len(ways) == 1 else None


def _ways(own: tuple[int, ...], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The increasing choices of axes of ``shape`` that have the sizes ``own``, two at most."""
    if not own:
        return [()]
    if len(own) > len(shape):
        return []
    found: list[tuple[int, ...]] = []
    for axis, size in enumerate(shape):
        if size == own[0]:
            rest = _ways(own[1:], shape[axis + 1 :])
            found += [(axis, *(axis + 1 + later for later in way)) for way in rest]
        if len(found) > 1:
            break
    return found[:2]


def _call(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    """A call with its plain arguments: tensors are left out."""
    plain = [_plain(value) for value in args if not isinstance(value, torch.Tensor)]
    plain += [
        f"{key}={_plain(value)}" for key, value in kwargs.items() if not isinstance(value, torch.Tensor)
    ]
    return f"{name.strip('_')}({', '.join(word for word in plain if word)})"


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"({', '.join(_plain(item) for item in value)})"
    return str(value)[:24] if isinstance(value, (bool, int, float, str, torch.dtype)) else ""


def _line(entry: str) -> int | None:
    """The line of the problem's file from which this call came."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename.endswith(f"/{entry}"):
            return frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _region(mask: torch.Tensor) -> tuple[Span, ...]:
    spans = []
    for axis, size in enumerate(mask.shape):
        others = [other for other in range(mask.dim()) if other != axis]
        line = mask.any(dim=others) if others else mask
        hit = line.nonzero().flatten()
        if not hit.numel():
            return ()
        apart = hit.diff()
        even = bool(apart.numel()) and bool((apart == apart[0]).all())
        every = int(apart[0]) if even else 1
        spans.append(Span(first=int(hit[0]), last=int(hit[-1]), every=every, size=size))
    return tuple(spans)


def _solid(mask: torch.Tensor, region: Sequence[Span]) -> bool:
    for axis, span in enumerate(region):
        mask = mask.index_select(axis, torch.arange(span.first, span.last + 1, span.every))
    return bool(mask.all())
