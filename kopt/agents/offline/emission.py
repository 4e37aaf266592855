"""Writing C++ loops: pointers, hoisted scalars and vector passes over one nest.

The schedules in :mod:`schedules` decide which loops are parallel, which are rows and which is the register loop;
this class writes the statements they are made of.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from kopt.agents.offline.axes import Size
from kopt.agents.offline.cppfile import real_type
from kopt.agents.offline.expr import INTS, MASK, Emitted, Expr, emit, walk
from kopt.agents.offline.graph import Unsupported
from kopt.agents.offline.nest import Access, Loop, Nest
from kopt.agents.offline.prelude import C_TYPES

IDENTITY = {"sum": "0", "prod": "1", "max": "-__builtin_inf()", "min": "__builtin_inf()"}
"""What a reduction starts from."""
INTEGERS = ("int64", "int32", "int16", "int8", "uint8", "bool")


def combine(op: str, a: str, b: str) -> str:
    """Two partial results as one."""
    return {"sum": f"{a} + {b}", "prod": f"{a} * {b}"}.get(op) or f"v_{op}imum({a}, {b})"


class Writer:
    """Collects indented lines, the prelude helpers they need, and the texts of what is already computed."""

    def __init__(self, nest: Nest) -> None:
        self.nest = nest
        self.lines: list[str] = []
        self.helpers: set[str] = {"partial", "stream", "get"}
        self.methods: set[str] = set()
        self.depth = 0
        self.index: dict[Loop, str] = {}
        self.real = real_type(nest.lowered.graph)
        self.scalars: dict[int, str] = {}
        self.vectors: dict[int, str] = {}
        self.arrays: dict[str, str] = {}
        self.kept: dict[int, str] = {}
        self.free_of: dict[int, frozenset[Loop]] = {}
        self.serial = 0

    # Text --------------------------------------------------------------------------------------------------

    def add(self, *lines: str) -> None:
        """Add lines at the current depth."""
        for line in lines:
            self.lines.append(("  " * self.depth + line) if line and not line.startswith("#") else line)

    @contextlib.contextmanager
    def block(self, head: str, tail: str = "}") -> Iterator[None]:
        """A braced block; what is computed inside is forgotten after it."""
        saved = dict(self.scalars), dict(self.vectors), dict(self.index)
        self.add(f"{head} {{".lstrip())
        self.depth += 1
        yield
        self.depth -= 1
        self.add(tail)
        self.scalars, self.vectors, self.index = saved

    def fresh(self, stem: str) -> str:
        """A name not used before."""
        self.serial += 1
        return f"{stem}{self.serial}"

    # Addresses ---------------------------------------------------------------------------------------------

    def place(self, access: Access, skip: Loop | None = None) -> str:
        """``tensor_p + index * stride + ...`` for the loops that are open."""
        return " + ".join([f"{access.tensor}_p", *self._terms(access, skip)])

    def _terms(self, access: Access, skip: Loop | None = None) -> list[str]:
        terms = [self.nest.text(access.offset)] if any(access.offset) else []
        for loop in self.nest.order(access.strides):
            if loop is not skip:
                terms.append(self.times(self.index[loop], access.strides[loop]))
        return terms

    def times(self, index: str, stride: Size) -> str:
        """``index * stride`` without needless factors."""
        text = self.nest.text(stride)
        return index if text == "1" else f"{index} * {text}" if text.isalnum() else f"{index} * ({text})"

    def open_loops(self, loops: Sequence[Loop]) -> contextlib.ExitStack:
        """Plain nested loops."""
        stack = contextlib.ExitStack()
        for loop in loops:
            name = f"i{loop.name[1:]}"
            stack.enter_context(self.block(f"for (int64_t {name} = 0; {name} < {loop.name}; ++{name})"))
            self.index[loop] = name
        return stack

    def decode(self, flat: str, loops: Sequence[Loop]) -> None:
        """Indices of several loops from one flat index."""
        inner: list[str] = []
        for position, loop in reversed(list(enumerate(loops))):
            name = f"i{loop.name[1:]}"
            text = (
                flat
                if not inner
                else f"{flat} / ({' * '.join(inner)})"
                if len(inner) > 1
                else f"{flat} / {inner[0]}"
            )
            if position > 0:
                text += f" % {loop.name}"
            inner.insert(0, loop.name)
            if name != text:
                self.add(f"const int64_t {name} = {text};")
            self.index[loop] = name

    # Values ------------------------------------------------------------------------------------------------

    def free(self, expr: Expr) -> frozenset[Loop]:
        """The loops an expression varies along; reductions count by their own free loops."""
        known = self.free_of.get(expr.key)
        if known is None:
            known = self.free_of[expr.key] = frozenset(self.nest.free(expr))
        return known

    def invariants(self, roots: Iterable[Expr], fixed: Iterable[Loop]) -> list[Expr]:
        """The largest sub-expressions that vary along ``fixed`` loops at most (constants alone excepted)."""
        allowed, found, seen = set(fixed), [], set()
        stack = list(roots)
        while stack:
            expr = stack.pop()
            if expr.key in seen or expr.op == "const":
                continue
            seen.add(expr.key)
            constant = all(e.op != "load" for e in walk(expr))
            if expr.kind != MASK and self.free(expr) <= allowed and not constant:
                found.append(expr)
            else:
                stack.extend(expr.args)
        return found

    def scalar_load(self, load: Expr) -> str:
        """The text of a load as one number."""
        name = load.name
        if name in self.nest.sizes:
            return f"real({self.nest.sizes[name]})"
        if name in self.nest.folds:
            return name
        access = self.nest.loads[name]
        if not access.tensor:
            kind = "int32_t" if access.integer else "real"
            return f"{kind}({' + '.join(self._terms(access)) or '0'})"
        where = self.place(access)
        if access.integer:
            return f"int32_t(*({where}))"
        if access.pick:
            index, stride = access.pick
            at = self.fresh("at")
            self.add(
                f"const int64_t {at} = {index.tensor}_p[{self.place(index).partition(' + ')[2] or '0'}];"
            )
            where += f" + ({at} > 0 ? {at} : 0) * {self.nest.text(stride)}"
        return f"get({where})"

    def hoist(self, roots: Iterable[Expr], fixed: Iterable[Loop]) -> None:
        """Compute once, as scalars, what does not vary inside; vector code then broadcasts it."""
        wanted = [e for e in self.invariants(roots, fixed) if e.key not in self.vectors]
        wanted.sort(key=lambda e: e.key)
        for expr in wanted:
            if expr.key not in self.scalars:
                done = self.write(
                    emit([expr], self.scalar_load, vector=False, real=self.real, known=self.scalars)
                )
                text = done.results[0]
                if not text.isidentifier():
                    name = f"t{expr.key}"
                    self.add(f"const {'int32_t' if expr.kind == INTS else 'real'} {name} = {text};")
                    text = name
                self.scalars[expr.key] = text
            spread = "splat_ints" if expr.kind == INTS else "splat"
            self.vectors[expr.key] = f"{spread}({self.scalars[expr.key]})"

    def write(self, emitted: Emitted) -> Emitted:
        """Add emitted statements."""
        self.add(*emitted.lines)
        self.helpers |= emitted.helpers
        return emitted

    def pointers(self, names: Iterable[str], inner: Loop, fixed: Iterable[Loop]) -> dict[str, str]:
        """Declare a pointer for each load that varies along the register loop."""
        allowed, found = set(fixed), {}
        for name in names:
            access = self.nest.loads.get(name)
            if (
                access is None
                or not access.tensor
                or inner not in self.nest.free(self.nest.lowered.pool.load(name))
            ):
                continue
            assert set(access.strides) <= allowed | {inner}
            kind = C_TYPES[access.dtype]
            pointer = f"{name}_k"
            self.add(f"const {kind}* const {pointer} = {self.place(access, skip=inner)};")
            found[name] = pointer
            if access.pick:
                index = access.pick[0]
                self.add(
                    f"const {C_TYPES[index.dtype]}* const {name}_index = {self.place(index, skip=inner)};"
                )
        return found

    def vector_load(self, load: Expr, inner: Loop, pointers: dict[str, str]) -> str:
        """The text of a load as a register, inside a sweep over ``k``."""
        name = load.name
        if name in self.arrays:
            return f"load({self.arrays[name]} + (k - begin))"
        access = self.nest.loads[name]
        stride = access.strides.get(inner)
        if not access.tensor:
            assert stride is not None
            self.helpers.add("ints")
            terms = [*self._terms(access, skip=inner), self.times("k", stride)]
            lanes = f"counted({' + '.join(terms)}, {self.nest.text(stride)})"
            return lanes if access.integer else f"number({lanes})"
        if access.integer:
            assert stride is not None
            if stride[0] != 1:
                raise Unsupported("bits of integers that are not adjacent along the vector loop")
            self.methods.add("ints")
            return f"at.ints({pointers[name]} + k)"
        if access.pick:
            self.methods.add("picked")
            index, along = access.pick
            step = self.nest.text(stride) if stride else "0"
            index_stride = index.along(inner)
            if index_stride != 1:
                raise AssertionError("an index tensor that is not contiguous along the register loop")
            return f"at.picked({pointers[name]} + {self.by_k(step)}, {step}, {name}_index + k, {self.nest.text(along)})"
        assert stride is not None
        if stride[0] == 1:
            return f"at({pointers[name]} + k)"
        self.methods.add("strided")
        step = self.nest.text(stride)
        return f"at.strided({pointers[name]} + {self.by_k(step)}, {step})"

    @staticmethod
    def by_k(step: str) -> str:
        """``k * step``."""
        return "0" if step == "0" else f"k * {step}"

    def store_vector(self, access: Access, inner: Loop, pointer: str, value: str) -> None:
        """Store a register into an output, inside a sweep."""
        stride = access.strides[inner]
        if stride[0] == 1:
            self.methods.add("put")
            self.add(f"at.put({pointer} + k, {value});")
        else:
            self.methods.add("scatter")
            step = self.nest.text(stride)
            self.add(f"at.scatter({pointer} + {self.by_k(step)}, {step}, {value});")

    def store_pointers(self, accesses: Sequence[Access], inner: Loop) -> list[str]:
        """Declare a pointer for each output written along the register loop."""
        names = []
        for access in accesses:
            name = f"{access.tensor}_k"
            self.add(f"{C_TYPES[access.dtype]}* const {name} = {self.place(access, skip=inner)};")
            names.append(name)
        return names
