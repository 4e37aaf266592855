"""Pooling in Triton: lanes are neighbouring outputs that walk the window together, or the elements of one large window.

The same mathematics as :mod:`kopt.agents.offline.pooling`, from whose plan the kernel is made.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kopt.agents.offline.gpu.file import Launch, triton_candidate
from kopt.agents.offline.gpu.kernel import START, Kernel, number, power_of_two
from kopt.agents.offline.gpu.rows import finish
from kopt.agents.offline.windows import extent, product
from kopt.words import Candidate, Tunable

if TYPE_CHECKING:
    from kopt.agents.offline.pooling import Plan, Window

LARGE = 128
"""Elements beyond which a window has a program of its own, unless windows overlap a lot."""
UNROLLED = 32
"""Windows of up to so many elements are unrolled, so that all loads are under way at once."""


def candidate(plan: Plan) -> Candidate:
    """The Triton kernel of a pooling.

    Raises:
        Unsupported: what comes behind has no Triton form, or is computed in double precision.
    """
    w = plan.window
    kernel = Kernel(plan.epilogue.graph, "pool_kernel")
    axes, variables = _axes(plan, kernel)
    large = math.prod(w.kernel) > LARGE and 4 * math.prod(w.stride) > math.prod(w.kernel)
    lead = len(plan.graph.values[w.source].shape) - w.rank
    planes = [extent(plan.graph, w.source, d) for d in range(lead)]
    if large:
        block = min(1024, power_of_two(math.prod(w.kernel)))
        _window_of_one(kernel, plan, axes)
        grid = [*planes, *(a.outputs for a in axes)]
    else:
        block = min(512, max(64, power_of_two(math.prod(a[0] for a in w.out[1:]))))
        _neighbours(kernel, plan, axes)
        tiles = f"triton.cdiv({product([a.outputs for a in axes[-2:]])}, BLOCK)"
        grid = [*planes, *(a.outputs for a in axes[:-2]), tiles]
    value = "maximum" if w.kind == "max" else "mean"
    geometry = zip(
        ("window", "stride", "padding", "dilation"), (w.kernel, w.stride, w.pad, w.dilation), strict=True
    )
    comment = [
        f"{plan.epilogue.text(value)} over the window at each output; "
        + ", ".join(f"{what} {'x'.join(map(str, sizes[-w.rank :]))}" for what, sizes in geometry)
        + ".",
        "",
        _LARGE if large else _SMALL,
        "NaN wins every comparison, as in torch; what lies outside the image is -infinity."
        if w.kind == "max"
        else "Added up in float32, whatever the dtype.",
    ]
    return triton_candidate(
        plan.epilogue.graph,
        [Launch(kernel, [product(grid)], {"BLOCK": "BLOCK"})],
        title=plan.title,
        why="one pass over memory; what windows share comes from the cache",
        comment=comment,
        tunables=[
            Tunable(name="BLOCK", choices=(64, 128, 256, 512, 1024), default=max(64, block)),
            Tunable(name="WARPS", choices=(1, 2, 4, 8), default=4 if block >= 256 else 2),
        ],
        variables=variables,
        schedule=["windows"],
    )


_SMALL = (
    "One program per BLOCK neighbouring outputs of a plane, so that the plane's number is found once and not by every "
    "lane. Lanes walk the window together; elements that several windows share come from the nearest cache."
)
_LARGE = (
    "One program per output, whose lanes share the window's elements: neighbouring lanes read neighbouring addresses, "
    "and results are joined at the end."
)


@dataclass(frozen=True)
class _Axis:
    """One axis of the image and how the window slides along it.

    Attributes:
        name: d, h or w.
        image: the image's size, as text for the kernel.
        outputs: how many outputs there are, as Python for host and kernel.
        edges: whether a window may leave the image.
    """

    name: str
    image: str
    outputs: str
    kernel: int
    stride: int
    pad: int
    dilation: int
    edges: bool

    @property
    def start(self) -> str:
        """The first position of the window."""
        text = f"o{self.name} * {self.stride}" if self.stride > 1 else f"o{self.name}"
        return f"{text} - {self.pad}" if self.pad else text

    def position(self, tap: str) -> str:
        """Where one of the window's elements lies."""
        if not tap:
            return self.start
        return f"{self.start} + {tap}" + (f" * {self.dilation}" if self.dilation > 1 else "")

    def joined(self, inner: _Axis) -> _Axis | None:
        """This axis and the next one as a single one, where the window is as wide as the image."""
        if not inner.image.isdigit() or inner.kernel != int(inner.image) or inner.edges or self.dilation > 1:
            return None
        width = inner.kernel
        return replace(
            self,
            image=product([self.image, inner.image]),
            kernel=self.kernel * width,
            stride=self.stride * width,
            pad=self.pad * width,
        )


def _axes(plan: Plan, kernel: Kernel) -> tuple[list[_Axis], list[str]]:
    """The image's axes, and the statements of the host that name the sizes which vary."""
    w = plan.window
    rank = len(plan.graph.values[w.source].shape)
    axes, variables = [], []
    for position, name in list(enumerate("DHW"))[3 - w.rank :]:
        image = extent(plan.graph, w.source, rank - 3 + position)
        outputs = str(w.out[position][0])
        slide = w.slides[position]
        if not image.isdigit():
            variables += [f"I{name} = {image}", *slide.python(name)]
            image, outputs = kernel.size(f"I{name}"), kernel.size(f"O{name}")
        axes.append(
            _Axis(
                name=name.lower(),
                image=image,
                outputs=outputs,
                kernel=slide.kernel,
                stride=slide.stride,
                pad=slide.pad,
                dilation=slide.dilation,
                edges=slide.ceil or slide.pad > 0,
            )
        )
    return axes, variables


def _neighbours(kernel: Kernel, plan: Plan, axes: Sequence[_Axis]) -> None:
    """Lanes are neighbouring outputs."""
    lanes = product([a.outputs for a in axes[-2:]])
    kernel.add(
        "task = tl.program_id(0)",
        f"tiles = tl.cdiv({lanes}, BLOCK)",
        "o = (task % tiles) * BLOCK + tl.arange(0, BLOCK)",
        f"inside = o < {lanes}",
        "plane = (task // tiles).to(tl.int64)",
    )
    if len(axes) == 3:
        # a block, for its comparisons join those of the lanes (and the interpreter knows no number that is a truth)
        kernel.add(f"od = plane % {axes[0].outputs} + tl.zeros((BLOCK,), tl.int64)")
        kernel.add(f"plane = plane // {axes[0].outputs}")
    if len(axes) > 1:
        kernel.add(f"oh = (o // {axes[-1].outputs}).to(tl.int64)")
    kernel.add(f"ow = (o % {axes[-1].outputs}).to(tl.int64)" if len(axes) > 1 else "ow = o.to(tl.int64)")
    op = "max" if plan.window.kind == "max" else "sum"
    kernel.add(f"value = tl.full((BLOCK,), {START[op]}, tl.float32)")
    unrolled = math.prod(a.kernel for a in axes) <= UNROLLED
    with contextlib.ExitStack() as loops:
        place, mask = "plane", "inside"
        for axis in axes:
            tap = f"k{axis.name}" if axis.kernel > 1 else ""
            if tap and unrolled:
                loops.enter_context(kernel.block(f"for {tap} in tl.static_range(0, {axis.kernel}):"))
            elif tap:
                loops.enter_context(kernel.loop(tap, "0", str(axis.kernel)))
            place, mask = _enter(kernel, axis, tap, place, mask)
        _take(kernel, plan.window, op, place, mask)
    _divide(kernel, plan.window, axes)
    index = ["plane", *(f"o{a.name}" for a in axes)]
    finish(
        kernel,
        plan.epilogue,
        index,
        [*[""] * (len(index) - len(axes[-2:])), *["inside"] * len(axes[-2:])],
        "value",
    )


def _window_of_one(kernel: Kernel, plan: Plan, axes: Sequence[_Axis]) -> None:
    """Lanes are a window's elements."""
    w = plan.window
    op = "max" if w.kind == "max" else "sum"
    kernel.add("plane = tl.program_id(0).to(tl.int64)")
    for axis in reversed(axes):
        kernel.add(f"o{axis.name} = plane % {axis.outputs}", f"plane = plane // {axis.outputs}")
    kernel.add(f"lanes = tl.full((BLOCK,), {START[op]}, tl.float32)")
    elements = math.prod(w.kernel)
    with kernel.loop("begin", "0", str(elements), "BLOCK"):
        kernel.add("k = begin + tl.arange(0, BLOCK)", f"inside = k < {elements}")
        place, mask, inner = "plane", "inside", elements
        for axis in _fewest(axes):
            outermost = inner == elements
            inner //= axis.kernel
            tap = f"k // {inner}" if inner > 1 else "k"
            place, mask = _enter(kernel, axis, tap if outermost else f"({tap}) % {axis.kernel}", place, mask)
        _take(kernel, w, op, place, mask, into="lanes")
    kernel.add(f"value = {kernel.collapsed(op, 'lanes')}")
    _divide(kernel, w, axes)
    finish(kernel, plan.epilogue, ["plane", *(f"o{a.name}" for a in axes)], "", "value")


def _fewest(axes: Sequence[_Axis]) -> list[_Axis]:
    """The axes, those joined that a window spans."""
    found = [axes[0]]
    for axis in axes[1:]:
        joined = found[-1].joined(axis)
        found[-1:] = [found[-1], axis] if joined is None else [joined]
    return found


def _enter(kernel: Kernel, axis: _Axis, tap: str, place: str, mask: str) -> tuple[str, str]:
    """Go to a place along an axis; returns the element's number so far, and which lanes are inside."""
    at = f"at_{axis.name}"
    kernel.add(f"{at} = {axis.position(tap)}")
    if axis.edges:
        kernel.add(f"inside_{axis.name} = {mask} & ({at} >= 0) & ({at} < {axis.image})")
        mask = f"inside_{axis.name}"
    factor = axis.image if axis.image.isalnum() else f"({axis.image})"
    kernel.add(f"place_{axis.name} = {place} * {factor} + {at}")
    return f"place_{axis.name}", mask


def _take(kernel: Kernel, w: Window, op: str, place: str, mask: str, into: str = "value") -> None:
    """Join the elements there to what is known."""
    address = f"{kernel.pointer(w.source)} + {place}"
    kernel.add(f"x = tl.load({address}, mask={mask}, other={START[op]}).to(tl.float32)")
    kernel.add(f"{into} = {kernel.joined(op, into, 'x')}")


def _divide(kernel: Kernel, w: Window, axes: Sequence[_Axis]) -> None:
    """Make the sum a mean."""
    if w.kind == "max":
        return
    if w.even is not None:
        kernel.add(f"value = value / {number(w.even)}")
        return
    counts = []
    for a in axes:
        if not a.edges:
            counts.append(str(a.kernel))
            continue
        low, high, count = f"low_{a.name}", f"high_{a.name}", f"count_{a.name}"
        end = f"{a.image} + {a.pad}" if a.pad else a.image
        kernel.add(f"{low} = {a.start}", f"{high} = tl.minimum({low} + {a.kernel}, {end})")
        inside = "" if w.include_pad else f"tl.minimum({high}, {a.image}) - tl.maximum({low}, 0)"
        kernel.add(f"{count} = tl.maximum({inside or f'{high} - {low}'}, 1)")
        counts.append(count)
    kernel.add(f"value = value / ({product(counts)}).to(tl.float32)")
