"""``--set NAME=VALUE``: change a problem's constants by rewriting its source text.

The rewritten module is executed as a whole later, so constants derived from a changed one follow. Line
numbers stay as they were: errors point into the user's own file.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from kopt.errors import ProblemError

_SHAPED = ("axes", "workloads", "held_out")


def apply_overrides(text: str, overrides: Mapping[str, Any], *, path: str, axes: bool) -> str:
    """The source with constants replaced.

    Args:
        text: a module that parses.
        overrides: values by name; text is read as a Python literal where it is one.
        path: named in errors.
        axes: whether names may also be axes of format (f), which are then fixed in every workload.

    Raises:
        ProblemError: no constant (or axis) of that name, or it is not assigned by a plain statement.
    """
    for name, value in overrides.items():
        tree = ast.parse(text)
        nodes = list(_constants(tree, name)) or (list(_axis_sizes(tree, name)) if axes else [])
        if not nodes:
            raise ProblemError(_unknown(tree, name, axes), path=path)
        text = _replace(text, nodes, repr(parse_value(value)))
    return text


def parse_value(value: Any) -> Any:
    """``"16"`` is 16, ``"(3, 3)"`` a tuple; text that is no literal stays text."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def constants_of(tree: ast.Module) -> list[str]:
    """Names that module-level statements assign."""
    found = (name for node in tree.body for name, _ in _assigned(node))
    return [name for name in dict.fromkeys(found) if not name.startswith("__")]


def _assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """Each name that a statement assigns, with the expression it gets."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _pairs(target, value)
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    match target, value:
        case ast.Name(id=name), _:
            yield name, value
        case ast.Tuple(elts=names) | ast.List(elts=names), ast.Tuple(elts=values) | ast.List(elts=values):
            if len(names) == len(values):
                for one, other in zip(names, values, strict=True):
                    yield from _pairs(one, other)


def _constants(tree: ast.Module, name: str) -> Iterator[ast.expr]:
    for node in tree.body:
        for assigned, value in _assigned(node):
            if assigned == name:
                yield value


def _axis_sizes(tree: ast.Module, name: str) -> Iterator[ast.expr]:
    """Where ``axes`` and the workloads give a size for one axis."""
    for shaped in _SHAPED:
        for table in _constants(tree, shaped):
            if not isinstance(table, ast.Dict):
                continue
            inner = [table] if shaped == "axes" else [v for v in table.values if isinstance(v, ast.Dict)]
            for entry in inner:
                for key, value in zip(entry.keys, entry.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == name:
                        yield value


def _unknown(tree: ast.Module, name: str, axes: bool) -> str:
    known = constants_of(tree)
    if axes:
        for table in _constants(tree, "axes"):
            if isinstance(table, ast.Dict):
                known += [
                    k.value for k in table.keys if isinstance(k, ast.Constant) and isinstance(k.value, str)
                ]
        known = [n for n in known if n not in (*_SHAPED, "inputs", "state", "outputs", "smoke", "tolerance")]
    if not known:
        return f"cannot set {name!r}: the problem has no module-level constants"
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"cannot set {name!r}: {hint}the constants are {', '.join(known[:30])}"


def _replace(text: str, nodes: list[ast.expr], value: str) -> str:
    """Put ``value`` in the place of each node, last one first; ast's columns count UTF-8 bytes."""
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    for node in sorted(nodes, key=lambda n: (n.lineno, n.col_offset), reverse=True):
        assert node.end_lineno is not None and node.end_col_offset is not None
        first, last = node.lineno - 1, node.end_lineno - 1
        before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
        spared = b"\n" * (last - first)  # keeps the line numbers of everything below
        new = b"(" + value.encode() + spared + b")" if spared else value.encode()
        lines[first : last + 1] = (before + new + after).splitlines(keepends=True)
    return b"".join(lines).decode()
