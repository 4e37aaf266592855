"""Pointwise expressions: what one element of an output is, as a small tree, and how it reads in C++.

An :class:`Expr` says *what* is computed and nothing about loops: the schedules (fused loops, a GEMM's epilogue)
decide where it is evaluated, on which registers, and from where its leaves are loaded. That split of what from how
is TVM's. Make expressions through a :class:`Pool`, so that equal sub-expressions are one object.

Kinds: ``real`` (the accumulation type: float, or double where float64 takes part), ``mask`` (truth values) and ``ints``
(32-bit integers whose bits matter: packed weights are shifted and masked before they are numbers).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

REAL = "real"
MASK = "mask"
INTS = "ints"

# operator -> (kinds of operands, kind of the result, C++ template, prelude helpers it calls)
_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_LOGIC = {"and": "&", "or": "|", "xor": "^"}
BITS = {"shift_right": ">>", "bits_and": "&", "bits_or": "|", "bits_xor": "^"}
"""Operators of integers."""
_CALLS = [
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "round",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
]
_CALLS2 = ["atan2", "fmod", "maximum", "minimum", "pow"]

OPS: dict[str, tuple[int, str, str, tuple[str, ...]]] = {
    **{name: (2, REAL, f"({{0}} {sign} {{1}})", ()) for name, sign in _INFIX.items()},
    **{name: (2, MASK, f"({{0}} {sign} {{1}})", ()) for name, sign in _COMPARE.items()},
    **{name: (2, MASK, f"({{0}} {sign} {{1}})", ()) for name, sign in _LOGIC.items()},
    **{name: (2, INTS, f"({{0}} {sign} {{1}})", ("ints",)) for name, sign in BITS.items()},
    "number": (1, REAL, "number({0})", ("ints",)),
    **{name: (1, REAL, f"v_{name}({{0}})", (name,)) for name in _CALLS},
    **{name: (2, REAL, f"v_{name}({{0}}, {{1}})", (name,)) for name in _CALLS2},
    "neg": (1, REAL, "(-{0})", ()),
    "not": (1, MASK, "v_not({0})", ()),
    "where": (3, REAL, "({0} ? {1} : {2})", ()),
}
_HEAVY = frozenset({*_CALLS, *_CALLS2, "div"}) - {
    "abs",
    "maximum",
    "minimum",
    "ceil",
    "floor",
    "round",
    "trunc",
}


@dataclass(frozen=True, eq=False)
class Expr:
    """A node: an operator of :data:`OPS`, ``const`` (with ``value``) or ``load`` (with ``name``)."""

    op: str
    args: tuple[Expr, ...] = ()
    value: float = 0.0
    name: str = ""
    kind: str = REAL
    key: int = 0

    def __repr__(self) -> str:
        return text(self)


class Pool:
    """Makes expressions; equal ones are the same object. Folds constants and the identities that are exact."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Expr] = {}

    def _intern(self, op: str, args: tuple[Expr, ...], value: float, name: str, kind: str) -> Expr:
        identity = (op, tuple(a.key for a in args), value.hex() if op == "const" else 0, name, kind)
        found = self._known.get(identity)
        if found is None:
            found = Expr(op, args, value, name, kind, len(self._known) + 1)
            self._known[identity] = found
        return found

    def const(self, value: float | int | bool) -> Expr:
        """A literal."""
        return self._intern("const", (), float(value), "", REAL)

    def load(self, name: str, kind: str = REAL) -> Expr:
        """A leaf the schedule provides: an element of a tensor, or a value computed by an earlier loop."""
        return self._intern("load", (), 0.0, name, kind)

    def make(self, op: str, *args: Expr | float | int) -> Expr:
        """Apply an operator; numbers become constants, masks become 0/1 where a real is wanted."""
        operands = [a if isinstance(a, Expr) else self.const(a) for a in args]
        if op == "number":
            return self.real(operands[0])
        arity, kind, _, _ = OPS[op]
        if len(operands) != arity:
            raise ValueError(f"{op} takes {arity} operands")
        if op in ("and", "or", "xor", "not"):
            operands = [self.mask(a) for a in operands]
        elif op in BITS:
            if any(a.kind != INTS and a.op != "const" for a in operands):
                raise ValueError(f"{op} takes integers")
        elif op == "where":
            operands = [self.mask(operands[0]), self.real(operands[1]), self.real(operands[2])]
        else:
            operands = [self.real(a) for a in operands]
        folded = self._fold(op, operands)
        return folded if folded is not None else self._intern(op, tuple(operands), 0.0, "", kind)

    def real(self, expr: Expr) -> Expr:
        """The expression as a number: masks become 0 and 1."""
        if expr.kind == REAL:
            return expr
        if expr.kind == INTS:
            return self._intern("number", (expr,), 0.0, "", REAL)
        return self._intern("where", (expr, self.const(1), self.const(0)), 0.0, "", REAL)

    def mask(self, expr: Expr) -> Expr:
        """The expression as a truth value: numbers are compared with 0."""
        return (
            expr if expr.kind == MASK else self._intern("ne", (self.real(expr), self.const(0)), 0.0, "", MASK)
        )

    def _fold(self, op: str, args: Sequence[Expr]) -> Expr | None:
        values = [a.value for a in args if a.op == "const"]
        if len(values) == len(args) and op in ("add", "sub", "mul", "div", "neg"):
            a, b = values[0], values[-1]
            if op == "div":
                return self.const(a / b) if b != 0 else None
            return self.const({"add": a + b, "sub": a - b, "mul": a * b, "neg": -a}[op])
        if op in ("mul", "div") and args[1].op == "const" and args[1].value == 1:
            return args[0]
        if op == "mul" and args[0].op == "const" and args[0].value == 1:
            return args[1]
        if op == "sub" and args[1].op == "const" and args[1].value == 0:
            return args[0]
        if op == "div" and args[1].op == "sqrt" and args[0].op != "const":
            # a root is never so small or large that its inverse would overflow or lose bits; one per row is enough
            return self.make("mul", args[0], self.make("div", 1, args[1]))
        if op == "tanh" and args[0].op == "where" and args[0].args[2].op == "log1p":
            return self._tanh_softplus(args[0])
        if op == "div" and args[1].op == "const" and math.frexp(args[1].value)[0] in (0.5, -0.5):
            return self.make("mul", args[0], 1 / args[1].value)  # exact: the divisor is a power of two
        return None

    def _tanh_softplus(self, softplus: Expr) -> Expr | None:
        """``tanh(log(1 + w)) = w (w + 2) / (w (w + 2) + 2)`` with ``w = e^x``: one exponential instead of three."""
        beyond, _, log = softplus.args
        if log.args[0].op != "exp" or softplus.args[1] is not log.args[0].args[0]:
            return None
        w = log.args[0]
        grown = self.make("mul", w, self.make("add", w, 2))
        return self.make("where", beyond, 1, self.make("div", grown, self.make("add", grown, 2)))


def leaves(*roots: Expr) -> list[Expr]:
    """The loads the expressions depend on, each once, in first-use order."""
    return [e for e in walk(*roots) if e.op == "load"]


def walk(*roots: Expr, known: Iterable[int] = ()) -> list[Expr]:
    """Every sub-expression once, operands before their users; those with ``known`` keys, and below, left out."""
    seen = set(known)
    order: list[Expr] = []
    stack: list[tuple[Expr, bool]] = [(r, False) for r in reversed(roots)]
    while stack:
        expr, done = stack.pop()
        if done:
            order.append(expr)
        elif expr.key not in seen:
            seen.add(expr.key)
            stack.append((expr, True))
            stack.extend((a, False) for a in reversed(expr.args))
    return order


def substitute(expr: Expr, change: Callable[[Expr], Expr | None], pool: Pool) -> Expr:
    """Rebuild an expression bottom-up; ``change`` gives a leaf's replacement, or None to keep it."""
    done: dict[int, Expr] = {}
    for node in walk(expr):
        if node.op == "load":
            done[node.key] = change(node) or node
        elif node.args:
            done[node.key] = pool.make(node.op, *(done[a.key] for a in node.args))
        else:
            done[node.key] = node
    return done[expr.key]


def weight(*roots: Expr) -> int:
    """Rough cost of one evaluation: 1 per operation, 10 per transcendental function or division."""
    return sum(10 if e.op in _HEAVY else 1 for e in walk(*roots) if e.op not in ("load", "const"))


def text(expr: Expr) -> str:
    """The expression as mathematics, for comments."""
    if expr.op == "const":
        return f"{expr.value:.9g}"
    if expr.op == "load":
        return expr.name
    inner = [text(a) for a in expr.args]
    sign = {**_INFIX, **_COMPARE, **_LOGIC, **BITS}.get(expr.op)
    if sign:
        return f"({inner[0]} {sign} {inner[1]})"
    if expr.op == "neg":
        return f"-{inner[0]}"
    if expr.op == "number":
        return inner[0]
    if expr.op == "where":
        return f"({inner[0]} ? {inner[1]} : {inner[2]})"
    return f"{expr.op}({', '.join(inner)})"


@dataclass
class Emitted:
    """C++ statements, the text of each root's result, and the prelude helpers the statements call."""

    lines: list[str]
    results: list[str]
    helpers: set[str] = field(default_factory=set)


def literal(value: float, real: str = "float") -> str:
    """A C++ literal of the accumulation type; infinities and NaN by builtin."""
    suffix = "f" if real == "float" else ""
    if math.isnan(value):
        return f'__builtin_nan{suffix}("")'
    if math.isinf(value):
        return f"{'-' if value < 0 else ''}__builtin_inf{suffix}()"
    written = repr(value) if real == "double" else f"{value:.9g}"
    if not any(c in written for c in ".en"):
        written += ".0"
    return written + suffix


def emit(
    roots: Sequence[Expr],
    load: Callable[[Expr], str],
    *,
    vector: bool = True,
    real: str = "float",
    prefix: str = "t",
    known: dict[int, str] | None = None,
) -> Emitted:
    """Write expressions as C++ over ``vec`` (or, with ``vector=False``, over the scalar type ``real``).

    Args:
        roots: the expressions wanted.
        load: gives the C++ text of a leaf, already of type ``vec`` (or ``real``).
        vector: whether values are whole registers.
        real: the accumulation type, for literals.
        prefix: prefix of the temporaries' names.
        known: texts of sub-expressions that are computed already, by key; extended with what is emitted here.

    Temporaries are made for what is used more than once, for loads, and where a line would grow too long.
    """
    known = known if known is not None else {}
    order = [e for e in walk(*roots, known=known)]
    uses: dict[int, int] = {}
    for expr in order:
        for a in expr.args:
            uses[a.key] = uses.get(a.key, 0) + 1
    for root in roots:
        uses[root.key] = uses.get(root.key, 0) + 1
    out = Emitted([], [])
    kinds = {REAL: "vec" if vector else "real", MASK: "mask" if vector else "bool"}
    kinds[INTS] = "mask" if vector else "int32_t"
    texts: dict[int, str] = {}

    def name_of(expr: Expr) -> str:
        return known.get(expr.key) or texts[expr.key]

    for expr in order:
        if expr.op == "const":
            number = literal(expr.value, real)
            texts[expr.key] = f"splat({number})" if vector else number
            continue
        if expr.op == "load":
            written = load(expr)
        else:
            _, _, template, helpers = OPS[expr.op]
            operands = [
                str(int(a.value))
                if a.op == "const" and expr.op in BITS
                # a bare literal on one side of an arithmetic operator broadcasts by itself
                else literal(a.value, real)
                if a.op == "const"
                and vector
                and expr.op in (*_INFIX, *_COMPARE)
                and any(b.op != "const" for b in expr.args)
                else name_of(a)
                for a in expr.args
            ]
            written = template.format(*operands)
            out.helpers.update(helpers)
        simple = expr.op == "load" and written.isidentifier()
        if simple or (uses.get(expr.key, 0) <= 1 and expr.op != "load" and len(written) < 72):
            texts[expr.key] = written
            continue
        temporary = f"{prefix}{expr.key}"
        shown = written[1:-1] if written.startswith("(") and _outer(written) else written
        out.lines.append(f"const {kinds[expr.kind]} {temporary} = {shown};")
        known[expr.key] = temporary
    out.results = [name_of(r) for r in roots]
    return out


def _outer(written: str) -> bool:
    """Whether the first parenthesis closes at the very end."""
    depth = 0
    for index, char in enumerate(written):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return index == len(written) - 1
    return False
