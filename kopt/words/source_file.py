"""The candidate a source file holds: language, entry, style and tunables, read from its text; never executed."""

from __future__ import annotations

import ast
import re
from pathlib import PurePath

from kopt.words.candidate import Candidate, Language, Style
from kopt.words.declared_tunables import declared

_EXPORT = re.compile(r"\bTVM_FFI_DLL_EXPORT_TYPED_FUNC\s*\(\s*(\w+)")
_NATIVE = {".cpp": Language.CPP, ".cc": Language.CPP, ".cxx": Language.CPP, ".cu": Language.CUDA}
_ENTRIES = ("ModelNew", "run_into", "run")
SUFFIXES = frozenset({*_NATIVE, ".py"})


def candidate_of(name: str, text: str) -> Candidate:
    """The candidate in a file of that name, whose suffix is one of :data:`SUFFIXES`; however bad its text is."""
    suffix = PurePath(name).suffix.lower()
    return _python(name, text) if suffix == ".py" else _native(name, text, _NATIVE[suffix])


def has_entry(text: str) -> bool:
    """Whether Python text defines one of the names a candidate may begin at."""
    return any(name in _ENTRIES for name in _defined(_nodes(text)))


def _native(name: str, text: str, language: Language) -> Candidate:
    found = _EXPORT.findall(text)
    symbol = "run" if "run" in found or not found else found[0]
    return Candidate(
        sources={name: text},
        language=language,
        entry=f"{name}::{symbol}",
        style=Style.DESTINATION,
        tunables=declared(text),
    )


def _nodes(text: str) -> list[ast.AST]:
    try:
        return list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _defined(nodes: list[ast.AST]) -> set[str]:
    return {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def _python(name: str, text: str) -> Candidate:
    nodes = _nodes(text)
    names = _defined(nodes)
    symbol = next((entry for entry in _ENTRIES if entry in names), "run")
    jit = any(
        "triton" in ast.unparse(decorator)
        for node in nodes
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
    )
    return Candidate(
        sources={name: text},
        language=Language.TRITON if jit else Language.TORCH,
        entry=f"{name}::{symbol}",
        style=Style.DESTINATION if symbol == "run_into" else Style.RETURNING,
        tunables=declared(text),
    )
