"""What can be asked of the service, as bounded text; also the wire between the service and its worker.

Nothing here is a path that is opened: a problem is the name of a shipped one or a text, a candidate is texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Literal

from kopt.errors import UsageError
from kopt.rl.code_candidate import code_candidate
from kopt.words import Candidate, Language, Style
from kopt.words.source_file import SUFFIXES, candidate_of

MOST_PROBLEM_BYTES = 256 << 10
MOST_CANDIDATE_BYTES = 512 << 10
MOST_FILES = 16
MOST_OVERRIDES = 32
PROPOSER = "client"
_NAME = re.compile(r"(?!.{101})\w[\w.+-]*(?:/\w[\w.+-]*)*", re.ASCII)

Kind = Literal["describe", "evaluate", "profile", "compare", "submit"]
Value = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class CandidateText:
    """A candidate as texts: name -> text, and where it begins (``FILE`` or ``FILE::SYMBOL``)."""

    files: dict[str, str]
    entry: str | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """One job's question. ``options`` are those of its kind; see :mod:`kopt.rl.service.desk`."""

    kind: Kind
    problem: str
    overrides: dict[str, Value] = field(default_factory=dict)
    candidates: tuple[CandidateText, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


def check_overrides(overrides: dict[str, Value]) -> dict[str, Value]:
    """New values for a problem's constants.

    Raises:
        UsageError: a name is none, or there are too many or too long ones.
    """
    if len(overrides) > MOST_OVERRIDES:
        raise UsageError(f"overrides: at most {MOST_OVERRIDES} constants can be replaced")
    for name, value in overrides.items():
        if not name.isidentifier() or len(name) > 64 or len(str(value)) > 200:
            raise UsageError('overrides: give names of constants and short values, as {"batch": 16}')
        sized(str(value), "overrides", 1000)
    return overrides


def check_candidate(given: CandidateText, *, code: bool = False) -> CandidateText:
    """A candidate whose names, sizes and entry can be used; its text is for the judge.

    ``code``: it is a change to a code problem, which has no entry and may have files of any kind.

    Raises:
        UsageError: one of them cannot.
    """
    if not 1 <= len(given.files) <= MOST_FILES:
        raise UsageError(f"files: give 1 to {MOST_FILES} of them, as {{name: text}}")
    for name in given.files:
        if not _NAME.fullmatch(name):
            raise UsageError(
                "files: a name is plain and relative, as kernel.cpp or include/tile.h, of at most 100 letters"
            )
    sized("".join(given.files.values()), "the candidate", MOST_CANDIDATE_BYTES)
    if code:
        if given.entry is not None:
            raise UsageError("entry: a change to a code problem has none; leave it out")
        return given
    file, mark, symbol = _entry(given)
    if PurePosixPath(file).suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"{file}: a candidate begins in a .cpp, .cu or .py file; rename it, or name another entry"
        )
    if mark and not symbol.isidentifier():
        raise UsageError("entry: write it as FILE or FILE::SYMBOL, for example kernel.cpp::run")
    return given


def _entry(given: CandidateText) -> tuple[str, str, str]:
    if given.entry is None:
        begins = [name for name in given.files if PurePosixPath(name).suffix.lower() in SUFFIXES]
        if len(given.files) > 1 and len(begins) != 1:
            raise UsageError("entry: say in which of the files the candidate begins, as FILE::SYMBOL")
        return (begins or list(given.files))[0], "", ""
    file, mark, symbol = given.entry.partition("::")
    if file not in given.files:
        raise UsageError(
            f"entry: there is no file {file[:40]!r} among {', '.join(sorted(given.files))[:200]}"
        )
    return file, mark, symbol


def sized(text: str, what: str, most: int) -> str:
    """A text that can be encoded and is not too long.

    Raises:
        UsageError: it is none.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise UsageError(f"{what} is not Unicode text; send the source, not bytes") from None
    if size > most:
        raise UsageError(
            f"{what} has {size} bytes, more than the {most} that are taken; send source, not data"
        )
    return text


def candidate_from(given: CandidateText, *, code: bool = False) -> Candidate:
    """The candidate, however bad its text is; ``code``: of a code problem."""
    if code:
        return code_candidate(given.files, proposer=PROPOSER)
    file, mark, symbol = _entry(given)
    found = candidate_of(file, given.files[file])
    style = found.style
    if mark:
        into = found.language in (Language.CPP, Language.CUDA) or symbol == "run_into"
        style = Style.DESTINATION if into else Style.RETURNING
    entry = f"{file}::{symbol}" if mark else found.entry
    return replace(found, sources=dict(given.files), entry=entry, style=style, proposer=PROPOSER)
