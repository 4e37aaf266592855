"""Which operators a reference names: what similar kernels and fitting notes are found by.

Read from the text, which is parsed and never run. Names are taken apart into words, so that ``log_softmax`` and
``Softmax`` meet; likeness is Jaccard's, of the sets of words ("Étude comparative de la distribution florale",
1901). It is crude, the same everywhere, and needs no index.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

MOST_TEXT = 200_000
_WORD = re.compile(r"[A-Z]+(?![a-z])\d*d?|[A-Z]?[a-z]+\d*d?")
_MAKERS = ("get_inputs", "get_init_inputs", "get_input_groups")
_SIGNS: dict[type[ast.operator], str] = {ast.MatMult: "matmul", ast.Pow: "pow"}
_SAME = {
    "mm": "matmul", "bmm": "matmul", "addmm": "matmul", "baddbmm": "matmul", "linear": "matmul", "einsum": "matmul",
    "amax": "max", "amin": "min", "maximum": "max", "minimum": "min",
}  # fmt: skip
_NOTHING_SAYING = (
    "super init to float double half type view reshape contiguous flatten size shape dim numel len range int bool "
    "tuple list zip enumerate isinstance print tensor parameter zeros ones empty full randn rand randint arange like "
    "clone detach unsqueeze squeeze expand permute transpose item sequential module dict register buffer device "
    "functional nn torch append as new no grad"
)
_SAYS_NOTHING = frozenset(_NOTHING_SAYING.split())


def operators(text: str) -> frozenset[str]:
    """The words of the names that a reference calls; none where the text is no Python."""
    if len(text) > MOST_TEXT:
        return frozenset()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    defined = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
    }
    words: set[str] = set()
    for node in _nodes(tree):
        if isinstance(node, ast.Call):
            name = _name(node.func)
            if name not in defined:
                words.update(named(name))
        elif isinstance(node, ast.BinOp):
            words.add(_SIGNS.get(type(node.op), ""))
    return frozenset(words - _SAYS_NOTHING - {""})


def named(text: str) -> frozenset[str]:
    """The words of plain text, as :func:`operators` writes them: ``log_softmax of mm`` is log, softmax, of, matmul."""
    return frozenset(_SAME.get(word, word) for word in map(str.lower, _WORD.findall(text)))


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """How much two sets of words share, 0 to 1; nothing is like nothing."""
    return len(one & other) / len(one | other) if one and other else 0.0


def _nodes(tree: ast.Module) -> Iterator[ast.AST]:
    """What computes: neither the functions that make inputs nor what stands beside all functions."""
    for top in tree.body:
        if isinstance(top, ast.ClassDef) or (isinstance(top, ast.FunctionDef) and top.name not in _MAKERS):
            yield from ast.walk(top)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
