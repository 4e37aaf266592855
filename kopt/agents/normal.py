"""When two candidates are the same program: after formatting, comments and the names of local variables.

Models like to answer with what they were shown, renamed. Two candidates of the same :func:`identity` compute
the same, so that the second need not be evaluated; the reverse does not hold, and need not. Where a text cannot be
read it is its own normal form.
"""

from __future__ import annotations

import ast
import builtins
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from kopt.errors import UsageError
from kopt.words import Candidate, Language, Style, digest_of

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

_WORD = re.compile(r"[A-Za-z_]\w*")
_WORDS = re.compile(r"[A-Za-z_]\w*|[^A-Za-z_]+")
_MOST_BYTES = 1 << 20
_CPP = ("c", "cc", "cpp", "cxx", "h", "hh", "hpp", "cu")
_KEPT = 1024
"""Identities remembered: a strategy compares everything new with all its history."""


def identity(candidate: Candidate) -> str:
    """A digest that candidates of the same program share; what is no source (flags, entry) counts as it is."""
    sources = tuple(sorted(candidate.sources.items()))
    return _identity(sources, candidate.language, candidate.entry, candidate.style, candidate.flags)


@functools.lru_cache(_KEPT)
def _identity(
    sources: tuple[tuple[str, str], ...], language: Language, entry: str, style: Style, flags: tuple[str, ...]
) -> str:
    return digest_of(
        {
            "sources": {path: _form(path, language)(text) for path, text in sources},
            "language": language,
            "entry": entry,
            "style": style,
            "flags": flags,
        }
    )


def _form(path: str, language: Language) -> Callable[[str], str]:
    if language is Language.CODE:
        suffix = path.rpartition(".")[2]
        return {"py": normal_python}.get(suffix, normal_cpp if suffix in _CPP else str)
    return normal_cpp if language in (Language.CPP, Language.CUDA) else normal_python


# Python


_READS_NAMES = frozenset({"locals", "vars", "globals", "eval", "exec", "inspect", "dir", "compile", "frame"})


def normal_python(text: str) -> str:
    """The syntax tree without positions, docstrings and the names of local variables."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
    try:
        nodes = list(ast.walk(tree))
        used = {node.id for node in nodes if isinstance(node, ast.Name)} | {
            node.attr for node in nodes if isinstance(node, ast.Attribute)
        }
        for node in nodes:
            _drop_docstring(node)
        if not used & _READS_NAMES:
            outside = _module_names(tree) | {
                node.arg for node in nodes if isinstance(node, ast.keyword) and node.arg
            }
            for function in _functions(tree):
                _rename_python(function, outside)
        return ast.dump(tree, annotate_fields=False)
    except RecursionError:
        return text


def _drop_docstring(node: ast.AST) -> None:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return
    first = node.body[0] if node.body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        node.body = node.body[1:] or [ast.Pass()]


def _module_names(tree: ast.Module) -> set[str]:
    """Names that mean something outside functions: renaming a local into or out of them would confuse the two."""
    names = set(dir(builtins))
    todo: list[ast.AST] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            if isinstance(node, ast.ClassDef):
                todo.extend(node.body)
            continue
        if isinstance(node, ast.Name):
            names.add(node.id)
        if isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
        todo.extend(ast.iter_child_nodes(node))
    return names


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The outermost functions: what lies within one shares its names with it."""
    todo: list[ast.AST] = [tree]
    while todo:
        for node in ast.iter_child_nodes(todo.pop()):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node
            else:
                todo.append(node)


def _rename_python(function: ast.FunctionDef | ast.AsyncFunctionDef, outside: set[str]) -> None:
    nodes = list(ast.walk(function))
    if any(
        isinstance(node, ast.ClassDef | ast.Global | ast.Nonlocal | ast.Import | ast.ImportFrom)
        for node in nodes
    ):
        return
    if any(
        isinstance(node, ast.MatchAs | ast.MatchStar | ast.MatchMapping | ast.ExceptHandler) for node in nodes
    ):
        return  # names that are no Name nodes: rare in kernels
    inner = {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    stored |= {n.arg for n in nodes if isinstance(n, ast.arg)}
    local = stored - outside - inner
    names: dict[str, str] = {}
    for node in _in_order(function):
        if isinstance(node, ast.Name) and node.id in local:
            node.id = names.setdefault(node.id, f"?{len(names)}")
        elif isinstance(node, ast.arg) and node.arg in local:
            node.arg = names.setdefault(node.arg, f"?{len(names)}")


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _in_order(child)


# C++ and CUDA


_WHOLE = frozenset({"string_literal", "raw_string_literal", "char_literal", "system_lib_string"})
_WRAPS = frozenset({"reference_declarator", "parenthesized_declarator", "structured_binding_declarator"})
"""What a declared name may be wrapped in without a field that tells it from the rest."""
_NAMES = frozenset({"init_declarator", "pointer_declarator", "array_declarator"})
_DECLARES = frozenset(
    {"declaration", "parameter_declaration", "optional_parameter_declaration", "for_range_loop"}
)


@functools.cache
def _parser() -> Parser:
    try:
        import tree_sitter_cpp
        from tree_sitter import Language as Grammar
        from tree_sitter import Parser
    except ImportError:
        raise UsageError("comparing C++ candidates needs the extra llm: pip install 'kopt[llm]'") from None
    return Parser(Grammar(tree_sitter_cpp.language()))


def normal_cpp(text: str) -> str:
    """The tokens without comments and white space, local variables and parameters named by first occurrence."""
    data = text.encode()
    if len(data) > _MOST_BYTES:
        return text
    tree = _parser().parse(data)
    if tree.root_node.has_error:
        return text
    leaves = list(_leaves(tree.root_node))
    fixed = _fixed(leaves)
    names: dict[int, dict[str, str]] = {}
    tokens: list[str] = []
    for leaf, function in leaves:
        token = _text(leaf)
        if function is not None:
            local = names.setdefault(function.id, {})
            if leaf.type == "identifier":
                if token not in local and token not in fixed and _declared(leaf):
                    local[token] = f"?{len(local)}"
                token = local.get(token, token)
            elif leaf.type == "preproc_arg":  # the clauses of a pragma name local variables
                token = "".join(local.get(word, word) for word in _WORDS.findall(" ".join(token.split())))
        if token.strip() or token == "\n":
            tokens.append(token)
    return "\x1f".join(tokens)


def _leaves(root: Node) -> Iterator[tuple[Node, Node | None]]:
    """The tokens in order, each with the outermost function it lies in."""
    todo: list[tuple[Node, Node | None]] = [(root, None)]
    while todo:
        node, function = todo.pop()
        if node.type == "comment":
            continue
        if node.type in _WHOLE or not node.children:
            yield node, function
            continue
        if function is None and node.type == "function_definition":
            function = node
        todo.extend((child, function) for child in reversed(node.children))


def _fixed(leaves: Iterable[tuple[Node, Node | None]]) -> set[str]:
    """Names that keep themselves: used outside functions, in macros, or before they are declared inside one."""
    fixed: set[str] = set()
    first: dict[tuple[int, str], bool] = {}
    for leaf, function in leaves:
        if leaf.type == "preproc_arg":
            if not _pragma(leaf):
                fixed.update(_WORD.findall(_text(leaf)))
            elif function is not None:
                for word in _WORD.findall(_text(leaf)):
                    if not first.setdefault((function.id, word), False):
                        fixed.add(word)
            continue
        if leaf.type == "identifier" and (
            function is None or not first.setdefault((function.id, _text(leaf)), _declared(leaf))
        ):
            fixed.add(_text(leaf))
    return fixed


def _pragma(leaf: Node) -> bool:
    parent = leaf.parent
    directive = parent.child_by_field_name("directive") if parent is not None else None
    return directive is not None and _text(directive).strip() == "#pragma"


def _declared(leaf: Node) -> bool:
    """Whether an identifier stands where a variable or a parameter is declared."""
    node, parent = leaf, leaf.parent
    while parent is not None and parent.type in _WRAPS | _NAMES | _DECLARES:
        if parent.type not in _WRAPS and node not in parent.children_by_field_name("declarator"):
            return False  # an initial value, or the size of an array
        if parent.type in _DECLARES:
            return True
        node, parent = parent, parent.parent
    return False


def _text(node: Node) -> str:
    return (node.text or b"").decode()
