"""Sizes of kernels whose windows slide over an image: constants where they are fixed, else read from the arguments.

The size of an output that varies is computed in the kernel as torch computes it, so that it is right at sizes that no
trace had.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kopt.agents.offline.axes import Size
from kopt.agents.offline.graph import Graph, Unsupported

WINDOW_COUNT = """
// Windows along one axis when the last may hang over the end: it has to begin inside the image or its left padding.
static inline int64_t window_count(int64_t size, int64_t k, int64_t s, int64_t p, int64_t d) {
  const int64_t count = (size + 2 * p - d * (k - 1) - 1 + s - 1) / s + 1;
  return count - ((count - 1) * s >= size + p);
}
"""

_MEANING = {"HW": "H = height, W = width", "DHW": "D = depth, H = height, W = width"}


@dataclass(frozen=True)
class Slide:
    """How a window slides along one axis. ``ceil``: the last one may hang over; ``same``: one for each element."""

    kernel: int
    stride: int
    pad: int
    dilation: int
    ceil: bool = False
    same: bool = False

    def count(self, size: int) -> int:
        """How many windows there are."""
        if self.same:
            return size
        reach = size + 2 * self.pad - self.dilation * (self.kernel - 1) - 1
        count = (reach + (self.stride - 1 if self.ceil else 0)) // self.stride + 1
        return count - (self.ceil and (count - 1) * self.stride >= size + self.pad)

    def text(self, axis: str) -> str:
        """:meth:`count` in C++, over the names I, K, S, P and D with the axis behind."""
        size, k, s, p, d = (f"{letter}{axis}" for letter in "IKSPD")
        if self.same:
            return size
        if self.ceil:
            return f"window_count({size}, {k}, {s}, {p}, {d})"
        return f"({size} + 2 * {p} - {d} * ({k} - 1) - 1) / {s} + 1"

    def python(self, axis: str) -> list[str]:
        """:meth:`count` as Python statements that give O from I, the axis behind both."""
        out, size = f"O{axis}", f"I{axis}"
        if self.same:
            return [f"{out} = {size}"]
        more = 2 * self.pad - self.dilation * (self.kernel - 1) - 1 + (self.stride - 1 if self.ceil else 0)
        lines = [f"{out} = ({size} {'-' if more < 0 else '+'} {abs(more)}) // {self.stride} + 1"]
        if self.ceil:
            begins = f"({out} - 1) * {self.stride} >= {size} + {self.pad}"
            lines.append(f"{out} -= {begins}  # the last begins inside the image or before it")
        return lines


class Sizes:
    """The named sizes of one kernel in order, each a constant unless something it is made of varies.

    ``constants`` are lines for namespace scope, ``variables`` for the beginning of ``run``.
    """

    def __init__(self) -> None:
        self.constants: list[str] = []
        self.variables: list[str] = []
        self._varying: set[str] = set()

    def put(self, sizes: Mapping[str, str], note: str = "") -> None:
        """Name sizes, each given as C++ over arguments (``x.size(2)``) and names put before."""
        fixed: list[str] = []
        varying: list[str] = []
        for name, text in sizes.items():
            varies = ".size(" in text or not self._varying.isdisjoint(re.findall(r"\w+", text))
            if varies:
                self._varying.add(name)
            (varying if varies else fixed).append(f"{name} = {text}")
        comment = f"  // {note}" if note else ""
        if fixed:
            self.constants.append(f"constexpr int64_t {', '.join(fixed)};{comment}")
        if varying:
            self.variables.append(f"const int64_t {', '.join(varying)};{comment}")

    def varies(self, name: str) -> bool:
        """Whether a size is known only when the kernel is called."""
        return name in self._varying

    def put_window(
        self,
        axes: str,
        texts: Sequence[str],
        sizes: Sequence[Size],
        outs: Sequence[Size],
        slides: Sequence[Slide],
    ) -> None:
        """Name the geometry: a letter and the axis, as in IH.

        Args:
            axes: a letter each, as ``HW``.
            texts: the input's size along each as C++.
            sizes: likewise in every trace.
            outs: the output's.
            slides: the window.

        Raises:
            Unsupported: the output's sizes are not what one fixed window makes of the input's.
        """
        self.constants.append(
            f"// input I*, kernel K*, stride S*, padding P*, dilation D*, output O*; {_MEANING[axes]}"
        )
        found = [_outputs(*of) for of in zip(axes, sizes, outs, slides, strict=True)]
        for letter, values in (
            ("I", list(texts)),
            ("K", [str(s.kernel) for s in slides]),
            ("S", [str(s.stride) for s in slides]),
            ("P", [str(s.pad) for s in slides]),
            ("D", [str(s.dilation) for s in slides]),
            ("O", found),
        ):
            self.put({f"{letter}{axis}": value for axis, value in zip(axes, values, strict=True)})


def extent(graph: Graph, name: str, dim: int) -> str:
    """C++ for the size of an argument along a dimension."""
    sizes = graph.values[name].extents(dim)
    return str(sizes[0]) if len(set(sizes)) == 1 else f"{name}.size({dim})"


def _outputs(axis: str, size: Size, out: Size, slide: Slide) -> str:
    """C++ for the output's size along an axis, given both sizes in every trace.

    Raises:
        Unsupported: the output's size does not follow from the input's by one and the same window.
    """
    if len(set(size)) == len(set(out)) == 1:
        return str(out[0])
    if len(set(out)) == 1 or out != tuple(map(slide.count, size)):
        raise Unsupported(f"sizes vary along {axis}, and not as one fixed window makes them")
    return slide.text(axis)


def named_outputs(axes: str, outs: Sequence[Size]) -> dict[str, Size]:
    """For ``Graph.sizes``: the output's sizes that vary, innermost first (images of every trace may be square)."""
    pairs = reversed(list(zip(axes, outs, strict=True)))
    return {f"O{axis}": out for axis, out in pairs if len(set(out)) > 1}


def product(texts: Sequence[str]) -> str:
    """The product of sizes as C++; numbers are multiplied now."""
    number, rest = 1, []
    for text in texts:
        if text.isdigit():
            number *= int(text)
        else:
            rest.append(text)
    return " * ".join([*rest, str(number)] if number != 1 or not rest else rest)
