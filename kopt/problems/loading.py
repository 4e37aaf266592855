"""Read a problem file on the host: parsed, checked, overridden, never executed."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from kopt.errors import ProblemError
from kopt.problems.declared import declaration_of
from kopt.problems.folder import ENTRY, is_code
from kopt.problems.overrides import apply_overrides, parse_value
from kopt.words import Problem, TolerancePolicy

_LARGEST = 4 << 20
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def load(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Problem:
    """Read a problem in format (a), (f) or (g).

    Args:
        path: a Python file, or the folder of a code problem.
        overrides: new values for module constants (or axes, in format (f)), as text or as values.

    Raises:
        ProblemError: one line naming file and line.
    """
    if is_code(Path(path)):
        if overrides:
            raise ProblemError("is a code problem, which has no constants to replace", path=str(path))
        from kopt.problems.code import load_code  # and pydantic, which nobody else here needs

        return load_code(Path(path))
    return problem_of(_read(Path(path)), path, overrides)


def problem_of(text: str, path: str | Path, overrides: Mapping[str, Any] | None = None) -> Problem:
    """The problem in a text; :func:`load` says more. ``path`` gives its name and is named in errors, not read.

    Raises:
        ProblemError: one line naming file and line.
    """
    path = Path(path)
    tree = _parse(text, str(path))
    kind = _format(tree, str(path))
    if overrides:
        text = apply_overrides(text, overrides, path=str(path), axes=kind == "kopt")
        tree = _parse(text, str(path))
    tolerance = TolerancePolicy()
    if kind == "model":
        _check_model(tree, str(path))
    else:
        tolerance = _check_reference(tree, text, str(path))
    return Problem(
        name=path.stem,
        format=kind,
        sources={path.name: text},
        entry=path.name,
        path=str(path),
        overrides={name: parse_value(value) for name, value in (overrides or {}).items()},
        tolerance=tolerance,
    )


@functools.cache
def suite_problems() -> dict[str, Path]:
    """The shipped problems by short name (their file's stem)."""
    suite = Path(__file__).parent / "suite"
    return {path.stem: path for path in sorted(suite.glob("*/*.py")) if not path.stem.startswith("_")}


@functools.cache
def suite_code() -> dict[str, Path]:
    """The shipped code problems by short name (their folder's)."""
    suite = Path(__file__).parent / "suite"
    return {path.parent.name: path.parent for path in sorted(suite.glob(f"code/*/{ENTRY}"))}


def _read(path: Path) -> str:
    if path.is_dir():
        raise ProblemError("is a directory: name a problem file", path=str(path))
    try:
        if path.stat().st_size > _LARGEST:
            raise ProblemError("is larger than 4 MiB: not a problem file", path=str(path))
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise ProblemError("no such file", path=str(path)) from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise ProblemError("is not UTF-8 text", path=str(path), line=line) from None
    except OSError as error:
        raise ProblemError(f"cannot be read: {error.strerror}", path=str(path)) from None
    if not text.strip():
        raise ProblemError("is empty", path=str(path), line=1)
    return text


def _parse(text: str, path: str) -> ast.Module:
    try:
        return ast.parse(text, filename=path)
    except SyntaxError as error:
        raise ProblemError(f"syntax error: {error.msg}", path=path, line=error.lineno or 1) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ProblemError(f"cannot be parsed: {error or type(error).__name__}", path=path, line=1) from None


def _bound(tree: ast.Module) -> dict[str, ast.stmt]:
    """Names that module-level statements bind, with the statement (the last one wins, as in Python)."""
    found: dict[str, ast.stmt] = {}
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = node
            case ast.Assign(targets=targets):
                found |= {t.id: node for t in targets if isinstance(t, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found[name] = node
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {(alias.asname or alias.name): node for alias in names}
    return found


def _format(tree: ast.Module, path: str) -> Literal["model", "kopt"]:
    bound = _bound(tree)
    if "Model" in bound:
        return "model"
    if "reference" in bound or "inputs" in bound:
        return "kopt"
    for name in ("get_inputs", "get_input_groups", "get_init_inputs"):
        if name in bound:
            raise ProblemError(
                f"defines {name} but no class Model: add one with a forward method",
                path=path,
                line=bound[name].lineno,
            )
    raise ProblemError(
        "is no problem: it defines neither class Model with get_inputs nor reference with inputs "
        "(see docs/problems.md)",
        path=path,
        line=1,
    )


def _check_model(tree: ast.Module, path: str) -> None:
    bound = _bound(tree)
    model = bound["Model"]
    if isinstance(model, _Function):
        raise ProblemError(
            "Model is a function: it must be a torch.nn.Module class", path=path, line=model.lineno
        )
    if isinstance(model, ast.ClassDef):
        if not model.bases:
            raise ProblemError("class Model must derive from torch.nn.Module", path=path, line=model.lineno)
        methods = {node.name: node for node in model.body if isinstance(node, _Function)}
        plain = all(ast.unparse(base) in ("nn.Module", "torch.nn.Module", "Module") for base in model.bases)
        if "forward" not in methods and plain:
            raise ProblemError("class Model has no forward method", path=path, line=model.lineno)
        if "forward" in methods and not (methods["forward"].args.args or methods["forward"].args.vararg):
            raise ProblemError("forward must take self", path=path, line=methods["forward"].lineno)
    if "get_inputs" not in bound and "get_input_groups" not in bound:
        raise ProblemError(
            "defines Model but neither get_inputs nor get_input_groups", path=path, line=model.lineno
        )
    for name in ("get_inputs", "get_input_groups", "get_init_inputs"):
        node = bound.get(name)
        if node is None:
            continue
        if isinstance(node, ast.ClassDef) or (
            isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        ):
            raise ProblemError(f"{name} must be a function", path=path, line=node.lineno)
        if isinstance(node, ast.AsyncFunctionDef):
            raise ProblemError(f"{name} must not be async", path=path, line=node.lineno)
        if isinstance(node, ast.FunctionDef):
            needed = _required(node.args)
            if needed:
                raise ProblemError(
                    f"{name}() must take no arguments, not {needed[0]!r}", path=path, line=node.lineno
                )
            if not any(isinstance(n, (ast.Return, ast.Yield, ast.Raise)) for n in ast.walk(node)):
                raise ProblemError(f"{name}() returns nothing", path=path, line=node.lineno)


def _check_reference(tree: ast.Module, text: str, path: str) -> TolerancePolicy:
    bound = _bound(tree)
    node = bound.get("reference")
    if node is None:
        raise ProblemError(
            "declares inputs but defines no reference function", path=path, line=bound["inputs"].lineno
        )
    if not isinstance(node, ast.FunctionDef):
        raise ProblemError(
            "reference must be a plain function (def reference(...))", path=path, line=node.lineno
        )
    declaration = declaration_of(text, path)
    arguments = node.args
    if arguments.vararg or arguments.kwarg or arguments.posonlyargs:
        raise ProblemError(
            "reference must name each of its parameters (no *args, **kwargs or /)",
            path=path,
            line=node.lineno,
        )
    takes = [a.arg for a in (*arguments.args, *arguments.kwonlyargs)]
    given = [*declaration.inputs, *declaration.state]
    for name in given:
        if name not in takes:
            raise ProblemError(
                f"{name!r} is declared but reference({', '.join(takes)}) does not take it",
                path=path,
                line=node.lineno,
            )
    for name in _required(arguments):
        if name not in given:
            raise ProblemError(
                f"reference takes {name!r}, which neither inputs nor state declares",
                path=path,
                line=node.lineno,
            )
    return declaration.tolerance


def _required(arguments: ast.arguments) -> list[str]:
    """Parameters without a default."""
    positional = [*arguments.posonlyargs, *arguments.args]
    needed = positional[: len(positional) - len(arguments.defaults)]
    needed += [a for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is None]
    return [argument.arg for argument in needed]
