"""The same nests in Triton: one kernel per graph, from the arrangement that the C++ schedules use.

``flat`` becomes a program per block of elements, ``rows`` a program per row, ``columns`` a program per tile of
columns. Graphs that need several stages, or partial results joined across programs, get no Triton candidate.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from kopt.agents.offline.arrangement import Arrangement, arrange
from kopt.agents.offline.expr import Expr, walk
from kopt.agents.offline.graph import Graph, Unsupported
from kopt.agents.offline.lower import Lowered
from kopt.agents.offline.nest import Access, Fold, Loop, Nest, Store, build
from kopt.words import Candidate, Language, Style, Tunable

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==",
          "ne": "!=", "and": "&", "or": "|", "xor": "^"}  # fmt: skip
_CALLS = {"abs": "tl.abs", "exp": "tl.exp", "exp2": "tl.exp2", "log": "tl.log", "log2": "tl.log2", "sqrt": "tl.sqrt_rn",
          "sin": "tl.sin", "cos": "tl.cos", "erf": "tl.erf", "floor": "tl.floor", "ceil": "tl.ceil"}  # fmt: skip
_HELPERS = {
    "sigmoid": "    return 1 / (1 + tl.exp(-x))",
    "tanh": (
        "    # near 0 an odd polynomial, else 1 - 2 / (e^2|x| + 1) with the sign of x\n"
        "    a = tl.abs(x)\n    z = x * x\n"
        "    p = (((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1)\n"
        "    small = (p * z - 3.33332819422e-1) * z * x + x\n"
        "    large = 1 - 2 / (tl.exp(2 * a) + 1)\n"
        "    return tl.where(a < 0.625, small, tl.where(x < 0, -large, large))"
    ),
    "log1p": (
        "    # log(1 + x) with the rounding error of 1 + x corrected\n"
        "    u = 1 + x\n    d = u - 1\n"
        "    return tl.where((d == 0) | (u == float('inf')), x, tl.log(u) * (x / tl.where(d == 0, 1.0, d)))"
    ),
    "expm1": (
        "    # near 0 a Taylor polynomial, so that nothing cancels\n"
        "    p = x * (1 + x * (0.5 + x * (1.6666667e-1 + x * (4.1666668e-2 + x * 8.3333338e-3))))\n"
        "    return tl.where(tl.abs(x) < 0.1, p, tl.exp(x) - 1)"
    ),
    "sign": "    return tl.where(x > 0, 1.0, tl.where(x < 0, -1.0, 0.0))",
}
_START = {"sum": "0.0", "prod": "1.0", "max": "float('-inf')", "min": "float('inf')"}
_PAIR = {
    "maximum": "    return tl.where((a > b) | (a != a), a, b)  # NaN wins, as in torch",
    "minimum": "    return tl.where((a < b) | (a != a), a, b)  # NaN wins, as in torch",
    "product": "    return a * b",
}
MAX_BLOCK = 8192


def candidate(lowered: Lowered, title: str) -> Candidate:
    """The Triton candidate of a lowered graph.

    Raises:
        Unsupported: sizes vary, several stages are needed, or a function has no Triton form.
    """
    graph = lowered.graph
    if graph.dynamic:
        raise Unsupported("Triton kernels are generated for fixed sizes only")
    if any(v.dtype == "float64" for v in graph.values.values()):
        raise Unsupported("Triton kernels are generated for single precision and below")
    nest = build(lowered)
    # a program per row whatever the number of rows: a GPU has no use for the CPU's split over few threads
    plan = arrange(nest, cores=0)
    if plan is None or plan.final or nest.sizes or any(a.pick for a in nest.loads.values()):
        raise Unsupported(
            "this graph needs results joined across programs, which the Triton generator does not write"
        )
    if any(a.tensor in graph.constants for a in nest.loads.values()):
        raise Unsupported("constant tensors are not passed to Triton kernels")
    text, block = _Kernel(graph, nest, plan).source(title)
    wide = tuple(b for b in (128, 256, 512, 1024, 2048, 4096, MAX_BLOCK) if block // 4 <= b <= block * 2)
    return Candidate(
        sources={"kernel.py": text},
        language=Language.TRITON,
        entry="kernel.py::run",
        style=Style.DESTINATION,
        proposer="offline",
        tunables=(
            Tunable(name="BLOCK", choices=wide or (block,), default=block),
            Tunable(name="WARPS", choices=(2, 4, 8), default=4),
        ),
        notes={
            "plan": f"{title} (Triton)",
            "schedule": [plan.kind],
            "why": "one kernel launch, no intermediate tensor",
        },
    )


class _Kernel:
    """Writes one kernel and its host function."""

    def __init__(self, graph: Graph, nest: Nest, plan: Arrangement) -> None:
        self.graph, self.nest, self.plan = graph, nest, plan
        self.lines: list[str] = []
        self.depth = 1
        self.index: dict[Loop, str] = {}
        self.helpers: set[str] = set()
        self.pairs: set[str] = set()

    def add(self, *lines: str) -> None:
        self.lines.extend("    " * self.depth + line for line in lines)

    def source(self, title: str) -> tuple[str, int]:
        plan = self.plan
        width = plan.register.extent[0]
        block = min(1024 if plan.kind == "flat" else MAX_BLOCK, 1 << max(width - 1, 1).bit_length())
        if plan.kind == "columns":
            block = min(block, 128)
        {"flat": self._flat, "rows": self._rows, "split": self._rows, "columns": self._columns}[plan.kind]()
        names = [*self.graph.inputs, *self.graph.state, *self.graph.output_names]
        used = {a.tensor for a in self.nest.accesses()}
        passed = [n for n in names if n in used]
        tasks = 1
        for loop in plan.kept:
            tasks *= loop.extent[0]
        grid = (
            f"({tasks} * triton.cdiv({width}, BLOCK),)" if plan.kind in ("flat", "columns") else f"({tasks},)"
        )
        mathematics = [f"{o.tensor} = {o.expr}" for o in self.nest.lowered.outputs]
        mathematics += [f"  {r.name} = {r.op} of {r.expr}" for r in self.nest.lowered.reductions.values()]
        shape = {
            "flat": "One program per BLOCK neighbouring elements.",
            "columns": "One program per BLOCK columns: neighbouring lanes read neighbouring addresses in every row.",
        }.get(
            plan.kind, "One program per row; a row longer than BLOCK is walked block by block, once per pass."
        )
        doc = "\n".join([f'"""{title}.', "", *_wrapped(mathematics), "", shape, '"""'])
        helpers = "".join(f"\n\n@triton.jit\ndef _{n}(x):\n{_HELPERS[n]}\n" for n in sorted(self.helpers))
        pairs = "".join(f"\n\n@triton.jit\ndef _{n}(a, b):\n{_PAIR[n]}\n" for n in sorted(self.pairs))
        pointers = ", ".join(f"{n}_p" for n in passed)
        text = (
            f"{doc}\n\nimport triton\nimport triton.language as tl\n\nBLOCK = {block}\nWARPS = 4\n{helpers}{pairs}\n\n"
            f"@triton.jit\ndef kernel({pointers}, BLOCK: tl.constexpr):\n" + "\n".join(self.lines) + "\n\n\n"
            f"def run({', '.join(names)}):\n    kernel[{grid}]({', '.join(passed)}, BLOCK=BLOCK, num_warps=WARPS)\n"
        )
        return text, block

    # Loops -------------------------------------------------------------------------------------------------

    def _flat(self) -> None:
        self._tile()
        self._stores([s for s in self.nest.stores], {})

    def _tile(self) -> None:
        width = self.plan.register.extent[0]
        if self.plan.kept:
            self.add(f"blocks = tl.cdiv({width}, BLOCK)", "task = tl.program_id(0) // blocks")
            self.add("k = (tl.program_id(0) % blocks) * BLOCK + tl.arange(0, BLOCK)")
            self._decode("task", self.plan.kept)
        else:
            self.add("k = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)")
        self.add(f"inside = k < {width}")
        self.index[self.plan.register] = "k"

    def _rows(self) -> None:
        plan = self.plan
        self.add("row = tl.program_id(0)")
        self._decode("row", plan.kept)
        walked = [loop for loop in plan.reduced if loop is not plan.register]
        known: dict[int, str] = {}
        for level in sorted({f.level for f in plan.row}):
            folds = [f for f in plan.row if f.level == level]
            self.add(*(f"{f.name}_k = tl.full((BLOCK,), {_START[f.op]}, tl.float32)" for f in folds))
            self._inside(walked, functools.partial(self._accumulate, folds, dict(known)))
            for fold in folds:
                self.add(f"{fold.name} = {self._collapse(fold)}")
        varying = [s for s in self.nest.stores if set(s.access.strides) & set(plan.reduced)]
        scalars = [s for s in self.nest.stores if s not in varying]
        if varying:
            self._inside(walked, lambda: self._stores(varying, dict(known)))
        for store in scalars:
            value = self._value(store.expr, {}, masked=False)
            self.add(f"tl.store({self._place(store.access)}, {value})")

    def _columns(self) -> None:
        self._tile()
        plan = self.plan
        for level in sorted({f.level for f in plan.row}):
            folds = [f for f in plan.row if f.level == level]
            self.add(*(f"{f.name} = tl.full((BLOCK,), {_START[f.op]}, tl.float32)" for f in folds))
            self._loops(plan.reduced, functools.partial(self._add_columns, folds))
        varying = [s for s in self.nest.stores if set(s.access.strides) & set(plan.reduced)]
        if varying:
            self._loops(plan.reduced, lambda: self._stores(varying, {}))
        self._stores([s for s in self.nest.stores if s not in varying], {})

    def _add_columns(self, folds: Sequence[Fold]) -> None:
        known: dict[int, str] = {}
        for fold in folds:
            self.add(f"{fold.name} = {self._joined(fold.op, fold.name, self._value(fold.expr, known))}")

    def _decode(self, flat: str, loops: Sequence[Loop]) -> None:
        inner = 1
        for position, loop in reversed(list(enumerate(loops))):
            text = flat if inner == 1 else f"{flat} // {inner}"
            if position:
                text = f"({text}) % {loop.extent[0]}"
            self.add(f"i{loop.name[1:]} = ({text}).to(tl.int64)")
            self.index[loop] = f"i{loop.name[1:]}"
            inner *= loop.extent[0]

    def _loops(self, loops: Sequence[Loop], body: Callable[[], None]) -> None:
        for loop in loops:
            self.index[loop] = f"i{loop.name[1:]}"
            self.add(f"for i{loop.name[1:]} in range(0, {loop.extent[0]}):")
            self.depth += 1
        body()
        self.depth -= len(loops)

    def _inside(self, walked: Sequence[Loop], body: Callable[[], None]) -> None:
        width = self.plan.register.extent[0]

        def blocks() -> None:
            self.add(f"for begin in range(0, {width}, BLOCK):")
            self.depth += 1
            self.add("k = begin + tl.arange(0, BLOCK)", f"inside = k < {width}")
            self.index[self.plan.register] = "k"
            body()
            self.depth -= 1

        self._loops(walked, blocks)

    # Values ------------------------------------------------------------------------------------------------

    def _accumulate(self, folds: Sequence[Fold], known: dict[int, str]) -> None:
        for fold in folds:
            value = self._value(fold.expr, known)
            part = f"tl.where(inside, {value}, {_START[fold.op]})"
            self.add(f"{fold.name}_k = {self._joined(fold.op, f'{fold.name}_k', part)}")

    def _joined(self, op: str, a: str, b: str) -> str:
        if op in ("sum", "prod"):
            return f"{a} {'+' if op == 'sum' else '*'} {b}"
        self.pairs.add(f"{op}imum")
        return f"_{op}imum({a}, {b})"

    def _collapse(self, fold: Fold) -> str:
        if fold.op == "sum":
            return f"tl.sum({fold.name}_k, 0)"
        name = {"prod": "product"}.get(fold.op, f"{fold.op}imum")
        self.pairs.add(name)
        return f"tl.reduce({fold.name}_k, 0, _{name})"

    def _stores(self, stores: Sequence[Store], known: dict[int, str]) -> None:
        for store in stores:
            value = self._value(store.expr, known)
            self.add(f"tl.store({self._place(store.access)}, {value}, mask=inside)")

    def _place(self, access: Access) -> str:
        terms = [f"{access.tensor}_p"]
        if any(access.offset):
            terms.append(str(access.offset[0]))
        for loop in self.nest.order(access.strides):
            stride = access.strides[loop][0]
            terms.append(self.index[loop] if stride == 1 else f"{self.index[loop]} * {stride}")
        return " + ".join(terms)

    def _value(self, root: Expr, known: dict[int, str], masked: bool = True) -> str:
        """Statements for an expression; returns the text of its value."""
        for expr in walk(root):
            if expr.key in known:
                continue
            if expr.op == "const":
                known[expr.key] = _number(expr.value)
                continue
            if expr.op == "load":
                known[expr.key] = self._load(expr, masked)
                continue
            operands = [known[a.key] for a in expr.args]
            known[expr.key] = f"t{expr.key}"
            self.add(f"t{expr.key} = {self._apply(expr.op, operands)}")
        return known[root.key]

    def _load(self, expr: Expr, masked: bool) -> str:
        if expr.name in self.nest.folds:
            return expr.name
        access = self.nest.loads[expr.name]
        along = self.plan.register in access.strides
        mask = ", mask=inside, other=0" if along and masked else ""
        self.add(f"{expr.name} = tl.load({self._place(access)}{mask}).to(tl.float32)")
        return expr.name

    def _apply(self, op: str, a: Sequence[str]) -> str:
        if op in _INFIX:
            return f"{a[0]} {_INFIX[op]} {a[1]}"
        if op in _CALLS:
            return f"{_CALLS[op]}({a[0]})"
        if op in _HELPERS:
            self.helpers.add(op)
            return f"_{op}({a[0]})"
        if op in ("maximum", "minimum"):
            self.pairs.add(op)
            return f"_{op}({a[0]}, {a[1]})"
        if op == "where":
            return f"tl.where({a[0]}, {a[1]}, {a[2]})"
        if op == "neg":
            return f"-{a[0]}"
        if op == "not":
            return f"~{a[0]}"
        raise Unsupported(f"{op} has no Triton form here")


def _number(value: float) -> str:
    text = repr(float(value))
    return f"float('{text}')" if text in ("inf", "-inf", "nan") else text


def _wrapped(lines: Sequence[str]) -> list[str]:
    import textwrap

    return [piece for line in lines for piece in textwrap.wrap(line, 108, subsequent_indent="    ")]
