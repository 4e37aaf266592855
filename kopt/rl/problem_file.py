"""Find a problem by what a user writes: a path, or the short name of a shipped one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from kopt.errors import UsageError
from kopt.problems import load, suite_code, suite_problems
from kopt.words import Problem


def open_problem(
    problem: Problem | str | Path, overrides: Mapping[str, str] | None = None, *, code: bool = False
) -> Problem:
    """Load a problem; nothing of it is executed. ``code``: the caller also takes code problems.

    Raises:
        UsageError: there is no such file or shipped problem, or it cannot be used.
    """
    found = _open(problem, overrides)
    if found.format == "code" and not code:
        raise UsageError(f"{found.name} is a code problem, which `kopt evaluate` and `kopt optimize` take")
    return found


def _open(problem: Problem | str | Path, overrides: Mapping[str, str] | None) -> Problem:
    if isinstance(problem, Problem):
        if overrides:
            raise UsageError("overrides apply when a problem is loaded: give its path instead")
        return problem
    path = Path(problem)
    if not path.exists():
        shipped = {**suite_problems(), **suite_code()}
        if str(problem) in shipped:
            path = shipped[str(problem)]
        else:
            close = difflib.get_close_matches(path.stem, shipped, n=1)
            hint = (
                f"did you mean the shipped problem {close[0]!r}?"
                if close
                else "`kopt problems list` names those"
            )
            raise UsageError(f"{problem}: no such file, and no shipped problem of that name; {hint}")
    return load(path, dict(overrides or {}))
