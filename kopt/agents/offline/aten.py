"""The table of ATen operations: what each one means, in pointwise expressions, reductions and changes of shape.

The entries are in ``aten_pointwise``, ``aten_reductions``, ``aten_shapes``, ``aten_norms`` and ``aten_losses``, under
the operation's name without its overload (``aten.gelu``).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from kopt.agents.offline.axes import Size
from kopt.agents.offline.expr import Expr
from kopt.agents.offline.graph import Node, NoLowering, Ref, Unsupported
from kopt.agents.offline.lower import Lowerer, Term

Make = Callable[..., Expr]
Lowering = Callable[["Call"], "Term | tuple[Term, ...]"]
OPERATIONS: dict[str, Lowering] = {}
MODULES = tuple(
    f"kopt.agents.offline.aten_{subject}"
    for subject in ("pointwise", "reductions", "shapes", "norms", "losses")
)


class Call:
    """One operation being lowered: its arguments, and the words its meaning is written in."""

    def __init__(self, low: Lowerer, node: Node) -> None:
        self.low = low
        self.node = node

    def get(self, name: str, default: Any = None) -> Any:
        """A literal argument.

        Raises:
            Unsupported: it is another number in another workload.
        """
        if name in self.node.varying:
            raise Unsupported(f"{name} of {self.node.op} differs between workloads")
        return self.node.args.get(name, default)

    def each(self, name: str, default: int) -> Size:
        """A whole number in every trace."""
        varying = self.node.varying.get(name)
        if varying is not None:
            return tuple(int(v) for v in varying)
        value = self.get(name)
        return (int(default if value is None else value),) * self.low.traces

    def tensor(self, name: str) -> Term:
        """A tensor argument; numbers count as tensors without dimensions."""
        held = self.node.args.get(name)
        if isinstance(held, Ref):
            return self.low.term(held.name)
        varying = self.node.varying.get(name)
        if varying is not None and all(type(v) is int for v in varying):
            return self.low.size(tuple(int(v) for v in varying))
        if isinstance(held, (bool, int, float)):
            return self.low.number(self.get(name))
        raise Unsupported(f"{self.node.op} without {name}")

    def maybe(self, name: str) -> Term | None:
        """A tensor argument that may be None."""
        return None if self.node.args.get(name) is None else self.tensor(name)

    def shape(self, name: str) -> list[Size]:
        """The shape of a graph value, each size in every trace."""
        value = self.low.graph.values[name]
        return [value.extents(d) for d in range(len(value.shape))]


def register(*names: str) -> Callable[[Lowering], Lowering]:
    """Enter a lowering under operation names."""

    def enter(function: Lowering) -> Lowering:
        for name in names:
            OPERATIONS[f"aten.{name}" if name != "getitem" else name] = function
        return function

    return enter


def base(op: str) -> str:
    """``aten.add.Tensor`` -> ``aten.add``; in-place forms count as the plain ones."""
    name = ".".join(op.split(".")[:2])
    return name.rstrip("_") if not name.endswith("__") else name


def lower(low: Lowerer, node: Node) -> Term | tuple[Term, ...]:
    """Lower one operation.

    Raises:
        NoLowering: nothing here knows it.
        Unsupported: it is known, but not in this form.
    """
    for module in MODULES:
        importlib.import_module(module)  # its entries register themselves

    operation = OPERATIONS.get(base(node.op))
    if operation is None:
        raise NoLowering(f"{node.op} has no lowering")
    return operation(Call(low, node))
