"""Code problems: a folder with a ``kopt.toml`` that says what may be changed and how the result is judged.

Read on the host and never executed. Everything in the folder is the problem; what lies under ``judge/`` (generators,
pairs) is shown to no candidate and no proposer.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kopt.errors import ProblemError
from kopt.problems.folder import ENTRY, JUDGE, read_folder, visible
from kopt.words import Problem


class Rules(BaseModel):
    """What ``kopt.toml`` holds; docs/code-problems.md tells of each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str = ""
    editable: tuple[str, ...] = Field(min_length=1)
    build: str = ""
    test: str = ""
    run: str = Field(min_length=1)
    generate: str = ""
    sizes: tuple[int, ...] = ()
    timed: tuple[int | str, ...] = ()
    pairs: str = ""
    shown: tuple[str, ...] = ()
    compare: Literal["exact", "tokens", "numbers", "float64"] = "tokens"
    rtol: float = Field(default=0.0, ge=0.0, lt=1.0)
    atol: float = Field(default=0.0, ge=0.0)
    seconds: float = Field(default=10.0, gt=0.0, le=600.0)
    test_seconds: float = Field(default=120.0, gt=0.0, le=3600.0)


def load_code(path: Path) -> Problem:
    """Read a code problem.

    Raises:
        ProblemError: one line naming the file and what is wrong with it.
    """
    folder = path.parent if path.name == ENTRY else path
    problem = Problem(
        name=folder.resolve().name,
        format="code",
        sources=read_folder(folder),
        entry=ENTRY,
        path=str(path),
    )
    rules_of(problem)
    return problem


def rules_of(problem: Problem) -> Rules:
    """The rules of a code problem.

    Raises:
        ProblemError: they are malformed, or do not fit the folder.
    """
    path = problem.path if problem.path.endswith(ENTRY) else f"{problem.path}/{ENTRY}"
    try:
        rules = Rules.model_validate(tomllib.loads(problem.sources[ENTRY]))
    except tomllib.TOMLDecodeError as error:
        raise ProblemError(f"not TOML: {error}", path=path) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ProblemError(
            f"{where}: {first['msg'].lower()}; docs/code-problems.md lists what it holds", path=path
        ) from None
    _check(rules, problem.sources, path)
    return rules


def _check(rules: Rules, sources: Mapping[str, str], path: str) -> None:
    from fnmatch import fnmatchcase

    def fail(message: str) -> None:
        raise ProblemError(message, path=path)

    for pattern in rules.editable:
        literal = not set(pattern) & set("*?[")
        if literal and pattern not in visible(sources):
            fail(f"editable: {pattern!r} is no file that candidates may see")
    if not any(fnmatchcase(name, pattern) for name in visible(sources) for pattern in rules.editable):
        fail(f"editable: {', '.join(rules.editable)} matches no file that candidates may see")
    pairs = pair_names(rules, sources)
    if rules.generate and not rules.sizes:
        fail("generate needs sizes: the numbers it is called with")
    if rules.sizes and not rules.generate:
        fail("sizes are for generate, which is not given")
    if not rules.generate and not pairs:
        fail("there is nothing to compare: give generate with sizes, or pairs with NAME.in and NAME.out")
    if rules.pairs and not f"{rules.pairs.rstrip('/')}/".startswith(JUDGE):
        fail("pairs: keep them below judge/, where no candidate sees them")
    for name in rules.shown:
        if name not in pairs:
            fail(f"shown: there is no pair {name!r}")
    for wanted in rules.timed:
        if wanted not in (pairs if isinstance(wanted, str) else rules.sizes):
            fail(f"timed: {wanted!r} is neither a pair's name nor one of sizes")


def pair_names(rules: Rules, sources: Mapping[str, str]) -> list[str]:
    """The names of the pairs that have both an input and an output."""
    if not rules.pairs:
        return []
    start = rules.pairs.rstrip("/") + "/"
    names = [name[len(start) : -3] for name in sources if name.startswith(start) and name.endswith(".in")]
    return sorted(name for name in names if f"{start}{name}.out" in sources)


def pair(rules: Rules, sources: Mapping[str, str], name: str) -> tuple[bytes, bytes]:
    """Input and expected output of a pair."""
    start = f"{rules.pairs.rstrip('/')}/{name}"
    return sources[f"{start}.in"].encode(), sources[f"{start}.out"].encode()
