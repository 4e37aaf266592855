"""PyTorch candidates: a look at the syntax; those that build C++ at run time get it built here, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .common import Outcome


def build(directory: str, config: Mapping[str, Any], body: Mapping[str, Any]) -> Outcome:
    """Compile every Python file to bytecode in memory; the first syntax error is the result."""
    for name, text in body["sources"].items():
        if name.endswith(".py"):
            try:
                compile(text, name, "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                line = getattr(error, "lineno", None)
                message = f"{name}:{line}: {type(error).__name__}: {getattr(error, 'msg', error)}"
                return Outcome(False, log=message, first_error=message)
    return Outcome(True)


def precompile(directory: str, config: Mapping[str, Any], compiler: str) -> tuple[bytes, dict[str, str]]:
    """Nothing yet to compile ahead."""
    return b"", {}
