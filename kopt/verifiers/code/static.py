"""What can be told from a candidate's files alone: that they stay inside the editable scope, and can be read."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from kopt.problems.code import Rules
from kopt.problems.folder import ENTRY, JUDGE
from kopt.problems.scope import MarkerError, Scope, fixed_lines
from kopt.verifiers.contestant import Failure
from kopt.words import Candidate, Language, Verdict

MOST_BYTES = 4 << 20
_COMMANDED = frozenset(
    [
        "conftest.py",
        "sitecustomize.py",
        "usercustomize.py",
        "pytest.ini",
        "tox.ini",
        "setup.cfg",
        "pyproject.toml",
        "Makefile",
    ]
)
"""New files that tools obey without being asked."""
_FORGING = re.compile(
    r"\bos\._exit\b|\bsys\.exit\b|\bSystemExit\b|\bimport atexit\b|\bsys\.modules\b|\b_getframe\b"
    r"|\b(?:import|from) (?:_?pytest|unittest)\b"
)
"""How code under test makes its tests pass: a tripwire, for hidden inputs decide."""


def check(candidate: Candidate, rules: Rules, sources: Mapping[str, str]) -> None:
    """Refuse what lies outside of the scope.

    Args:
        candidate: its sources are the changed files, whole.
        rules: the problem's.
        sources: the problem's files as they are.

    Raises:
        Failure: ``rejected``; ``build_failed`` for Python that does not parse.
    """
    if candidate.language is not Language.CODE or not candidate.sources:
        _reject("it changes no file of the problem: give a patch, or a folder with the changed files")
    if sum(len(text.encode("utf-8", "replace")) for text in candidate.sources.values()) > MOST_BYTES:
        _reject(f"its files are larger than {MOST_BYTES >> 20} MiB: change the code, not data")
    scope = Scope(paths=rules.editable)
    for path, text in candidate.sources.items():
        before = sources.get(path)
        if before == text:
            continue
        if path == ENTRY or path.startswith(JUDGE) or not scope.allows(path):
            _reject(f"{path} may not be changed; these may: {', '.join(rules.editable)}")
        if before is None and PurePosixPath(path).name in _COMMANDED:
            _reject(f"{path} would steer the tools that judge: leave it out")
        _check_blocks(path, before, text)
        if rules.test and path.endswith(".py"):
            _check_forging(path, before or "", text)
        _check_syntax(path, text)


def _reject(reason: str) -> None:
    raise Failure(Verdict.REJECTED, reason)


def _check_blocks(path: str, before: str | None, text: str) -> None:
    try:
        fixed = fixed_lines(before) if before is not None else None
        if fixed is not None and fixed_lines(text) != fixed:
            _reject(f"{path} is changed outside of its EVOLVE-BLOCK markers: change what lies between them")
    except MarkerError as error:
        _reject(f"{path}: {error}: leave the markers as they are")


def _check_forging(path: str, before: str, text: str) -> None:
    new = sorted(set(_FORGING.findall(text)) - set(_FORGING.findall(before)))
    if new:
        _reject(f"{path} mentions {new[0]}, which serves to end or answer the tests: leave it out")


def _check_syntax(path: str, text: str) -> None:
    if not path.endswith(".py"):
        return
    try:
        ast.parse(text)
    except SyntaxError as error:
        raise Failure(Verdict.BUILD_FAILED, f"{path}:{error.lineno or 1}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Failure(Verdict.BUILD_FAILED, f"{path} cannot be parsed: {error}") from None
