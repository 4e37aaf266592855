"""What can be told from a candidate's text alone: whether it is usable, and hints for people.

Hints never decide a verdict: nothing in text can make code safe or honest. What decides is what the code
does.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from kopt.verifiers.contestant import Failure
from kopt.words import Candidate, Language, Verdict

MOST_BYTES = 4 << 20
MOST_FILES = 256

_HINTS = (
    (
        "starts threads or processes",
        r"\b(threading|multiprocessing|subprocess|os\.fork|pthread_create|std::thread)\b",
    ),
    (
        "reaches into the interpreter",
        r"\b(sys\.modules|sys\._getframe|inspect\.stack|gc\.get_objects|ctypes)\b",
    ),
    ("hides names", r"\b(getattr|setattr|__import__|exec|eval|importlib)\s*\("),
    (
        "changes global settings",
        r"\b(set_num_threads|set_default_dtype|allow_tf32|set_float32_matmul_precision)\b",
    ),
    # Bounded, as no part may take what the next could: 4 MiB of "except" and empty lines would never end.
    (
        "falls back when its own code raises",
        r"except[^\n:]{0,200}:[^\S\n]{0,200}(?:#[^\n]{0,200})?\n\s{0,200}return",
    ),
    ("calls the library's own compiler", r"\btorch\.(compile|jit)\b"),
    ("touches the clock", r"\b(perf_counter|clock_gettime|rdtsc|time\.sleep|nanosleep)\b"),
)


def check(candidate: Candidate) -> list[str]:
    """Refuse what cannot be used; return hints.

    Raises:
        Failure: ``rejected``, with the file, the line where known, and the next step.
    """
    sources = candidate.sources
    size = sum(len(text.encode("utf-8", "replace")) for text in sources.values())
    if size > MOST_BYTES or len(sources) > MOST_FILES:
        raise _rejected(
            f"{len(sources)} files of {size} bytes: at most {MOST_FILES} and {MOST_BYTES} are taken"
        )
    for name in sources:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name or not name:
            raise _rejected(f"source path {name!r} must be relative and stay inside")
    file, mark, symbol = candidate.entry.partition("::")
    if not mark or not symbol.isidentifier():
        raise _rejected(f"entry {candidate.entry!r} must be file::symbol")
    if file not in sources:
        raise _rejected(f"entry file {file!r} is not among the sources ({', '.join(sorted(sources)[:5])})")
    if candidate.language in (Language.TORCH, Language.TRITON):
        _check_python(sources, file, symbol)
    elif candidate.language is Language.CPP:
        _check_native(sources, symbol)
    everything = "\n".join(sources.values())
    return [hint for hint, pattern in _HINTS if re.search(pattern, everything)]


def _rejected(reason: str) -> Failure:
    return Failure(Verdict.REJECTED, reason)


def _check_python(sources: Mapping[str, str], file: str, symbol: str) -> None:
    for name, text in sources.items():
        if not name.endswith(".py"):
            continue
        try:
            tree = ast.parse(text, name)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None)
            where = f"{name}:{line}" if line else name
            raise _rejected(f"{where}: {getattr(error, 'msg', None) or error}: mend the syntax") from None
        if name == file and not _binds(tree, symbol):
            raise _rejected(
                f"{file} defines no {symbol!r}: name the entry ModelNew or run, or give file::symbol"
            )


def _binds(tree: ast.Module, symbol: str) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == symbol:
            return True
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == symbol:
            return True
        if isinstance(node, (ast.Import, ast.ImportFrom)) and any(
            alias.name == "*" or (alias.asname or alias.name) == symbol for alias in node.names
        ):
            return True
    return False


def _check_native(sources: Mapping[str, str], symbol: str) -> None:
    everything = "\n".join(sources.values())
    if "TVM_FFI_DLL_EXPORT" not in everything or not re.search(rf"\b{re.escape(symbol)}\b", everything):
        raise _rejected(
            f"exports no {symbol!r}: write TVM_FFI_DLL_EXPORT_TYPED_FUNC({symbol}, Function) with "
            "#include <tvm/ffi/function.h>"
        )
