"""The declarations of format (f): what a ``problem.py`` says about its axes, inputs, state and workloads.

Parsed from the syntax tree, by host and sandbox alike; see docs/problems.md for the format itself.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kopt.errors import ProblemError
from kopt.problems.distributions import KINDS, draw, parameters_of
from kopt.problems.literals import NotLiteral, axis_value, evaluate
from kopt.words import TolerancePolicy, Workload

DECLARATIONS = (
    "axes", "inputs", "state", "outputs", "gradients", "workloads", "held_out", "smoke", "tolerance",
    "non_finite",
)  # fmt: skip
DTYPES = frozenset(
    ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
)
_TENSOR_KEYS = {"shape", "dtype", "values"}


@dataclass(frozen=True)
class Declared:
    """One input or state tensor: sizes as written, dtype and value distribution; or a plain value."""

    shape: tuple[str | int, ...] | None
    dtype: str = "float32"
    values: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None
    line: int | None = None


@dataclass(frozen=True)
class Declaration:
    """Everything a ``problem.py`` declares."""

    path: str
    axes: Mapping[str, int | None]
    inputs: Mapping[str, Declared]
    state: Mapping[str, Declared]
    outputs: tuple[str, ...]
    shapes: Mapping[str, Mapping[str, int]]
    held_out: Mapping[str, Mapping[str, int]]
    smoke: Mapping[str, int]
    tolerance: TolerancePolicy
    gradients: tuple[str, ...] = ()
    non_finite: bool = False

    def workloads(self) -> list[Workload]:
        """Declared workloads, then held-out ones; axes complete."""
        every = [(name, values, False) for name, values in self.shapes.items()]
        every += [(name, values, True) for name, values in self.held_out.items()]
        return [
            Workload(name=name, index=i, axes=self.resolve(values), held_out=hidden)
            for i, (name, values, hidden) in enumerate(every)
        ]

    def workload(
        self, index: int, *, smoke: bool = False, values: Mapping[str, int] | None = None
    ) -> Workload:
        """One workload, with the smoke sizes or other axis values put over its own."""
        chosen = self.workloads()[index]
        over = {**(self.smoke if smoke else {}), **(values or {})}
        unknown = [name for name in over if name not in self.axes]
        if unknown:
            raise ProblemError(f"no axis {unknown[0]!r}; the axes are {', '.join(self.axes)}", path=self.path)
        name = f"{chosen.name} (smoke)" if smoke else chosen.name
        return Workload(name=name, index=index, axes={**chosen.axes, **over}, held_out=chosen.held_out)

    def resolve(self, values: Mapping[str, int]) -> dict[str, int]:
        """Every axis with its size."""
        sizes = {name: values.get(name, default) for name, default in self.axes.items()}
        return {name: size for name, size in sizes.items() if size is not None}

    def draw(self, tensors: Mapping[str, Declared], axes: Mapping[str, int]) -> dict[str, Any]:
        """Values for some inputs or state, from torch's global generator (inside the sandbox)."""
        drawn: dict[str, Any] = {}
        for name, item in tensors.items():
            if item.shape is None:
                drawn[name] = item.value
                continue
            shape = [axis_value(size, axes, path=self.path, line=item.line) for size in item.shape]
            values = {
                key: axis_value(value, axes, path=self.path, line=item.line)
                if isinstance(value, str) and key != "kind"
                else value
                for key, value in item.values.items()
            }
            drawn[name] = draw(values, shape, item.dtype)
        return drawn


def declaration_of(text: str, path: str) -> Declaration:
    """Parse the declarations of a ``problem.py``.

    Raises:
        ProblemError: with file and line, for the first thing that is wrong.
    """
    found, lines = _literals(ast.parse(text, filename=path), path)

    def fail(message: str, name: str, line: int | None = None) -> ProblemError:
        return ProblemError(message, path=path, line=line or lines.get(name))

    axes = _mapping(found, "axes", fail)
    for name, size in axes.items():
        if size is not None and not _size(size):
            raise fail(
                f"axis {name!r} is {size!r}: give a positive integer, or None where workloads set it", "axes"
            )
    if "inputs" not in found:
        raise ProblemError("declares no inputs: add inputs = {...} (see docs/problems.md)", path=path, line=1)
    inputs = {n: _declared(n, v, axes, "inputs", fail) for n, v in _mapping(found, "inputs", fail).items()}
    state = {n: _declared(n, v, axes, "state", fail) for n, v in _mapping(found, "state", fail).items()}
    for name, item in state.items():
        if item.shape is None:
            raise fail(f"state {name!r} is not a tensor: give shape, dtype and values", "state")
        if name in inputs:
            raise fail(f"{name!r} is declared as input and as state", "state")
    outputs = _listed(found, "outputs", fail)
    gradients = _listed(found, "gradients", fail)
    for name in gradients:
        tensor = {**inputs, **state}.get(name)
        if tensor is None or tensor.shape is None or "float" not in tensor.dtype:
            raise fail(f"gradients: {name!r} is no floating-point tensor among inputs and state", "gradients")
    non_finite = found.get("non_finite", False)
    if not isinstance(non_finite, bool):
        raise fail("non_finite must be True or False", "non_finite")
    declaration = Declaration(
        path=path,
        axes=axes,
        inputs=inputs,
        state=state,
        outputs=outputs,
        gradients=gradients,
        non_finite=non_finite,
        shapes=_shapes(found, "workloads", axes, fail) or {"default": {}},
        held_out=_shapes(found, "held_out", axes, fail),
        smoke=_sizes(_mapping(found, "smoke", fail), "smoke", axes, fail),
        tolerance=_tolerance(_mapping(found, "tolerance", fail), fail),
    )
    repeated = [name for name in declaration.held_out if name in declaration.shapes]
    if repeated:
        raise fail(f"{repeated[0]!r} names both a workload and a held-out shape", "held_out")
    _check_sizes(declaration, fail)
    return declaration


def _literals(tree: ast.Module, path: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Module constants with literal values; declarations among them must have one."""
    found: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                continue
        try:
            found[name] = evaluate(value, found)
            lines[name] = node.lineno
        except NotLiteral as error:
            found.pop(name, None)
            if name in DECLARATIONS:
                raise ProblemError(f"cannot read {name}: {error}", path=path, line=error.line) from None
    return {name: found[name] for name in DECLARATIONS if name in found}, lines


def _mapping(found: Mapping[str, Any], name: str, fail: Any) -> dict[str, Any]:
    value = found.get(name, {})
    if not isinstance(value, dict) or not all(isinstance(key, str) and key for key in value):
        raise fail(f"{name} must be a dictionary with names as keys", name)
    return value


def _listed(found: Mapping[str, Any], name: str, fail: Any) -> tuple[str, ...]:
    value = found.get(name, ())
    value = (value,) if isinstance(value, str) else value
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise fail(f"{name} must be a list of names", name)
    return tuple(value)


def _declared(name: str, value: Any, axes: Mapping[str, Any], where: str, fail: Any) -> Declared:
    if not isinstance(value, dict):
        return Declared(shape=None, value=value)
    unknown = [key for key in value if key not in _TENSOR_KEYS]
    if unknown or "shape" not in value:
        wrong = f"unknown key {unknown[0]!r}" if unknown else "no shape"
        raise fail(f"{where} {name!r}: {wrong}; a tensor has shape, dtype and values", where)
    shape = value["shape"]
    if not isinstance(shape, (list, tuple)) or not all(isinstance(s, (str, int)) for s in shape):
        raise fail(f"{where} {name!r}: shape must be a list of axis names and integers", where)
    dtype = value.get("dtype", "float32")
    if dtype not in DTYPES:
        raise fail(f"{where} {name!r}: dtype {dtype!r} is none of {', '.join(sorted(DTYPES))}", where)
    values = value.get("values", "normal")
    values = {"kind": values} if isinstance(values, str) else values
    if not isinstance(values, dict) or values.get("kind") not in KINDS:
        kind = values.get("kind") if isinstance(values, dict) else values
        raise fail(f"{where} {name!r}: no value distribution {kind!r}; there are {', '.join(KINDS)}", where)
    offered = parameters_of(values["kind"])
    for key, parameter in values.items():
        if key != "kind" and key not in offered:
            has = ", ".join(offered) or "no parameter"
            raise fail(f"{where} {name!r}: {values['kind']} takes {has}, not {key!r}", where)
        if key != "kind" and not isinstance(parameter, (str, int, float)):
            raise fail(f"{where} {name!r}: {key} must be a number or an axis expression", where)
    return Declared(shape=tuple(shape), dtype=dtype, values=values)


def _shapes(
    found: Mapping[str, Any], name: str, axes: Mapping[str, Any], fail: Any
) -> dict[str, dict[str, int]]:
    shapes = _mapping(found, name, fail)
    for key, sizes in shapes.items():
        if not isinstance(sizes, dict):
            raise fail(f"{name} {key!r} must be a dictionary from axis to size", name)
        _sizes(sizes, name, axes, fail)
    return shapes


def _sizes(sizes: dict[str, Any], where: str, axes: Mapping[str, Any], fail: Any) -> dict[str, int]:
    for name, size in sizes.items():
        if name not in axes:
            raise fail(f"{where}: no axis {name!r}; the axes are {', '.join(axes) or 'none'}", where)
        if not _size(size):
            raise fail(f"{where}: axis {name!r} is {size!r}, not a positive integer", where)
    return sizes


def _size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _tolerance(given: Mapping[str, Any], fail: Any) -> TolerancePolicy:
    for key, value in given.items():
        if key not in ("multiple", "rtol", "atol"):
            raise fail(f"tolerance: unknown key {key!r}; there are multiple, or rtol and atol", "tolerance")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise fail(f"tolerance: {key} is {value!r}, not a non-negative number", "tolerance")
    if ("rtol" in given) != ("atol" in given):
        raise fail("tolerance: give rtol and atol together, or neither", "tolerance")
    return TolerancePolicy(**{key: float(value) for key, value in given.items()})


def _check_sizes(declaration: Declaration, fail: Any) -> None:
    """Every workload must give every axis that a shape uses."""
    for workload in declaration.workloads():
        where = "held_out" if workload.held_out else "workloads"
        missing = [name for name in declaration.axes if name not in workload.axes]
        if missing:
            raise fail(
                f"workload {workload.name!r} gives no size for axis {missing[0]!r}",
                where if where in DECLARATIONS else "axes",
            )
        for kind in ("inputs", "state"):
            for item in getattr(declaration, kind).values():
                sizes = [*(item.shape or ()), *(v for k, v in item.values.items() if k != "kind")]
                for size in sizes:
                    if isinstance(size, str):
                        try:
                            axis_value(size, workload.axes, path="", line=None)
                        except ProblemError as error:
                            raise fail(str(error), kind) from None
