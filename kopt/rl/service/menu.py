"""The problems that can be asked for by name: those that kopt ships, and those the operator has added."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from kopt.errors import UsageError
from kopt.problems import load, problem_of, suite_code, suite_problems
from kopt.problems.folder import is_code
from kopt.rl.service.requests import MOST_PROBLEM_BYTES, Value, sized
from kopt.words import Problem

_NAME = re.compile(r"[\w.-]{1,64}")


class Menu:
    """Problems by name."""

    def __init__(self, added: Mapping[str, str] | None = None) -> None:
        """``added``: name -> path, as :attr:`added` of another menu."""
        self.added = dict(added or {})
        shipped = {**suite_problems(), **suite_code()}
        self._paths = {**shipped, **{name: Path(path) for name, path in self.added.items()}}

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Menu:
        """The shipped problems and those of the operator's paths, which are read once to see that they can be used.

        Raises:
            UsageError: one cannot, or has the name of another.
        """
        shipped, added = cls(), {}
        for path in paths:
            if not path.exists():
                raise UsageError(f"--problem {path}: no such file or folder")
            name = load(path).name
            if not _NAME.fullmatch(name):
                raise UsageError(
                    f"--problem {path}: rename it to letters, digits, dots, hyphens: clients ask by that name"
                )
            if name in shipped._paths or name in added:
                raise UsageError(
                    f"--problem {path}: there is a problem {name} already; rename the file or folder"
                )
            added[name] = str(path.resolve())
        return cls(added)

    def check(self, problem: str) -> str:
        """A name that there is, or a text of a size that is taken.

        Raises:
            UsageError: it is neither.
        """
        if "\n" in problem:
            return sized(problem, "the problem", MOST_PROBLEM_BYTES)
        if problem not in self._paths:
            raise UsageError(
                f"no problem of that name: give one of {', '.join(sorted(self._paths))}, "
                "or the text of a problem file; paths are not read here"
            )
        return problem

    def is_code(self, problem: str) -> bool:
        """Whether it is a code problem, whose candidates are changed files; a text never is."""
        return problem in self._paths and is_code(self._paths[problem])

    def load(self, problem: str, overrides: Mapping[str, Value]) -> Problem:
        """The problem; nothing of it is executed.

        Raises:
            ProblemError: it cannot be used.
        """
        if "\n" in problem:
            return problem_of(problem.replace("\r\n", "\n"), "problem.py", overrides)
        return load(self._paths[problem], overrides)
