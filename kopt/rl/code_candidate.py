"""Read a change to a code problem that a person or another tool made. Nothing of it is executed.

A ``.patch`` or ``.diff`` file against the problem's folder, a folder with the files as they should be, or one file
that has the name of one that may be changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from kopt.errors import UsageError
from kopt.problems.folder import read_folder, visible
from kopt.problems.patches import apply_patch
from kopt.problems.scope import Scope
from kopt.words import Candidate, Language, Problem, Style

MOST_BYTES = 8 << 20
_PATCHES = (".patch", ".diff")


def code_candidate(
    sources: Mapping[str, str], *, proposer: str = "person", parents: tuple[str, ...] = (), **notes: str
) -> Candidate:
    """A candidate of a code problem: the changed files, whole."""
    return Candidate(
        sources=dict(sources),
        language=Language.CODE,
        entry="",
        style=Style.RETURNING,
        proposer=proposer,
        parents=parents,
        notes=notes,
    )


def read_change(problem: Problem, path: str | Path) -> Candidate:
    """Read a candidate for a code problem.

    Raises:
        UsageError: there is nothing that can be read, or a patch does not apply.
    """
    path = Path(path)
    if path.is_dir():
        return code_candidate(_changed(problem, read_folder(path)))
    text = _text(path)
    if path.suffix in _PATCHES:
        return code_candidate(apply_patch(problem.sources, text))
    editable = _editable(problem)
    scope = Scope(paths=editable)
    same = [n for n in visible(problem.sources) if scope.allows(n) and PurePosixPath(n).name == path.name]
    if len(same) != 1:
        raise UsageError(
            f"{path}: give a .patch or .diff file, a folder with the changed files, or one file named like one of "
            f"{', '.join(editable)}"
        )
    return code_candidate({same[0]: text})


def _changed(problem: Problem, files: Mapping[str, str]) -> dict[str, str]:
    """What differs from the problem; where nothing does, what may be changed, as it is."""
    changed = {name: text for name, text in files.items() if problem.sources.get(name) != text}
    if changed:
        return changed
    scope = Scope(paths=_editable(problem))
    return {name: text for name, text in visible(problem.sources).items() if scope.allows(name)}


def _editable(problem: Problem) -> tuple[str, ...]:
    from kopt.problems.code import rules_of  # and pydantic, which no other candidate's reader needs

    return rules_of(problem).editable


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path} is larger than {MOST_BYTES >> 20} MiB; give a change, not data")
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; give the path of a patch or a folder") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a file that can be read") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; give a patch or a folder") from None
