"""Writing one Triton kernel: its parameters, its lines, and pointwise expressions as statements."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence

from kopt.agents.offline.axes import Size
from kopt.agents.offline.expr import BITS, Expr, walk
from kopt.agents.offline.gpu.functions import CALLS, HELPERS, INFIX, NEEDS
from kopt.agents.offline.graph import Graph, Unsupported

START = {"sum": "0.0", "prod": "1.0", "max": "float('-inf')", "min": "float('inf')"}
"""What a reduction starts from."""


class Kernel:
    """A ``@triton.jit`` function in the making.

    Tensors become pointers ``<tensor>_p``. Sizes that vary become integer parameters, which :meth:`size` names; those
    that do not are literals. Values are float32 blocks (``real``) or truth values.
    """

    real = "tl.float32"

    def __init__(self, graph: Graph, name: str = "kernel") -> None:
        self.graph, self.name = graph, name
        self.lines: list[str] = []
        self.depth = 1
        self.tensors: list[str] = []
        self.sizes: dict[str, str] = {}
        self.helpers: set[str] = set()
        if any(v.dtype == "float64" for v in graph.values.values()):
            raise Unsupported("Triton kernels are generated for single precision and below")

    # Text --------------------------------------------------------------------------------------------------

    def add(self, *lines: str) -> None:
        """Add lines at the current depth."""
        self.lines.extend("    " * self.depth + line for line in lines)

    @contextlib.contextmanager
    def block(self, head: str) -> Iterator[None]:
        """An indented block under ``head``."""
        self.add(head)
        self.depth += 1
        yield
        self.depth -= 1

    @contextlib.contextmanager
    def loop(self, index: str, start: str, stop: str, step: str = "1") -> Iterator[None]:
        """A loop whose index is a 64-bit integer, so that addresses made of it do not overflow."""
        by = f", {step}" if step != "1" else ""
        with self.block(f"for {index}_ in range({start}, {stop}{by}):"):
            self.add(f"{index} = tl.full((), 0, tl.int64) + {index}_")
            yield

    # Parameters --------------------------------------------------------------------------------------------

    def pointer(self, tensor: str) -> str:
        """The name of a tensor's pointer, which thereby becomes a parameter."""
        if tensor not in self.tensors:
            self.tensors.append(tensor)
        return f"{tensor}_p"

    def size(self, size: Size | str) -> str:
        """A size as a literal, or the parameter that carries it.

        Args:
            size: in every trace, or as an expression over the arguments' sizes (``Graph.size``) and variables of the
                host. The parameter for a variable has its name.

        Raises:
            Unsupported: the size does not follow from the arguments'.
        """
        text = size if isinstance(size, str) else self.graph.size(size)
        if re.fullmatch(r"-?\d+", text):
            return text
        return self.sizes.setdefault(text, text if text.isidentifier() else f"n{len(self.sizes)}")

    def times(self, index: str, stride: Size | str) -> str:
        """``index * stride`` without needless factors."""
        text = self.size(stride)
        return index if text == "1" else "0" if text == "0" else f"{index} * {text}"

    # Values ------------------------------------------------------------------------------------------------

    @staticmethod
    def counted(terms: Sequence[str], *, integer: bool) -> str:
        """A number that follows from indices: their sum, 64-bit as they are."""
        text = f"({' + '.join(terms) or '0'} + tl.full((), 0, tl.int64))"
        return f"{text}.to({'tl.int32' if integer else 'tl.float32'})"

    def value(self, root: Expr, load: Callable[[str], str], known: dict[int, str], prefix: str = "t") -> str:
        """Statements for an expression; returns the text of its value.

        Args:
            root: the expression.
            load: gives the text of a leaf, as a float32 block; may add statements.
            known: texts of what is computed already, by key; extended.
            prefix: begins the names of temporaries.

        Raises:
            Unsupported: a function has no Triton form here.
        """
        for expr in walk(root, known=known):
            if expr.op == "const":
                known[expr.key] = number(expr.value)
            elif expr.op == "load":
                known[expr.key] = load(expr.name)
            else:
                bits = expr.op in BITS
                operands = [
                    str(int(a.value)) if bits and a.op == "const" else known[a.key] for a in expr.args
                ]
                text = self.apply(expr.op, operands)
                known[expr.key] = f"{prefix}{expr.key}"
                self.add(f"{prefix}{expr.key} = {text}")
        return known[root.key]

    def apply(self, op: str, a: Sequence[str]) -> str:
        """One operator of ``expr.OPS`` as text."""
        if op in INFIX:
            return f"{a[0]} {INFIX[op]} {a[1]}"
        if op in CALLS:
            return CALLS[op].format(*a)
        if op in HELPERS:
            self.call(op)
            return f"_{op}({', '.join(a)})"
        raise Unsupported(f"{op} has no Triton form here")

    def call(self, helper: str) -> str:
        """Mark a helper function of the file as used; returns its name."""
        self.helpers |= {helper, *NEEDS.get(helper, ())}
        return f"_{helper}"

    def joined(self, op: str, a: str, b: str) -> str:
        """Two partial results of a reduction as one."""
        if op in ("sum", "prod"):
            return f"{a} {'+' if op == 'sum' else '*'} {b}"
        return f"{self.call(f'{op}imum')}({a}, {b})"

    def collapsed(self, op: str, block: str, axis: int = 0) -> str:
        """A block reduced along one of its axes."""
        if op == "sum":
            return f"tl.sum({block}, {axis})"
        return f"tl.reduce({block}, {axis}, {self.call('product' if op == 'prod' else f'{op}imum')})"

    def source(self, constants: Sequence[str]) -> str:
        """The function's text, for the tensors and sizes that were asked for, and these compile-time constants."""
        parameters = [f"{t}_p" for t in self.tensors] + list(self.sizes.values())
        parameters += [f"{c}: tl.constexpr" for c in constants]
        return f"@triton.jit\ndef {self.name}({', '.join(parameters)}):\n" + "\n".join(self.lines) + "\n"

    def arguments(self) -> list[str]:
        """What the host passes, in order: tensors, then sizes as Python over the arguments."""
        return [*self.tensors, *(on_host(text) for text in self.sizes)]


def on_host(text: str) -> str:
    """A size that is written for C++, as Python: division is whole."""
    return re.sub(r"(?<!/)/(?!/)", "//", text)


def number(value: float) -> str:
    """A literal."""
    text = repr(float(value))
    return f"float('{text}')" if text in ("inf", "-inf", "nan") else text


def power_of_two(size: int) -> int:
    """The smallest power of two that is not smaller."""
    return 1 << max(size - 1, 0).bit_length()


def helper_functions(names: set[str]) -> str:
    """The text of helper functions, in an order in which each is defined before it is used."""
    order = [n for n in HELPERS if n in names]
    return "".join(f"\n\n@triton.jit\n{HELPERS[n]}\n" for n in order)
