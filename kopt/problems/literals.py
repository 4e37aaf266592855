"""Evaluate the literals, and the arithmetic on them, that declarations and axis expressions may use.

Nothing is executed: this walks a syntax tree and knows numbers, text, containers and ``+ - * / // %`` only.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from kopt.errors import ProblemError

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_LIMIT = 1 << 62


class NotLiteral(ValueError):
    """The expression is more than a literal; ``line`` says where."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def evaluate(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """The value of a literal expression; ``names`` are the constants it may use.

    Raises:
        NotLiteral: a call, an unknown name, an operation that is not offered, a number out of range.
    """
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            if name not in names:
                raise NotLiteral(
                    f"{name!r} is not a constant defined above with a literal value", node.lineno
                )
            return names[name]
        case ast.List(elts=items):
            return [evaluate(item, names) for item in items]
        case ast.Tuple(elts=items):
            return tuple(evaluate(item, names) for item in items)
        case ast.Dict(keys=keys, values=values):
            if any(key is None for key in keys):
                raise NotLiteral("'**' cannot be used in a declaration", node.lineno)
            return {
                evaluate(k, names): evaluate(v, names)
                for k, v in zip(keys, values, strict=True)
                if k is not None
            }
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(evaluate(operand, names), node)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            a, b = _number(evaluate(left, names), node), _number(evaluate(right, names), node)
            try:
                return _number(_BINARY[type(op)](a, b), node)
            except ZeroDivisionError:
                raise NotLiteral("division by zero", node.lineno) from None
    raise NotLiteral("only literals, constants and + - * / // % on them can be used here", node.lineno)


def axis_value(expression: str | int, axes: Mapping[str, int], *, path: str, line: int | None) -> int:
    """The size that an axis name, number or expression such as ``"2 * heads * dim"`` stands for.

    Raises:
        ProblemError: an unknown axis, not an integer, negative.
    """
    if isinstance(expression, str):
        try:
            tree = ast.parse(expression.strip(), mode="eval")
            value = evaluate(tree.body, axes)
        except (SyntaxError, NotLiteral):
            known = ", ".join(axes) or "none"
            raise ProblemError(
                f"cannot resolve the size {expression!r}: use axis names ({known}), integers and + - * //",
                path=path,
                line=line,
            ) from None
    else:
        value = expression
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ProblemError(
            f"the size {expression!r} is {value!r}, not a non-negative integer", path=path, line=line
        )
    return value


def _number(value: Any, node: ast.expr) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise NotLiteral("arithmetic is on numbers only", node.lineno)
    if isinstance(value, int) and abs(value) > _LIMIT:
        raise NotLiteral("the number is too large", node.lineno)
    return value
