"""Changes as a model writes them: a whole file, or SEARCH/REPLACE blocks inside an editable scope.

::

    path/of/file.cpp
    <<<<<<< SEARCH
    lines as they are
    =======
    lines as they should be
    >>>>>>> REPLACE

An edit that does not apply is answered before anything is built, with the nearest match, its line numbers and the
first line that differs: what a model needs to get it right the next time. Edits apply all or none.
"""

from __future__ import annotations

import bisect
import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kopt.errors import KoptError
from kopt.problems.scope import END, START, MarkerError, Scope
from kopt.problems.scope import editable_lines as spans_between_markers

_SEARCH = re.compile(r"<{5,9} ?SEARCH\s*")
_DIVIDER = re.compile(r"={5,9}\s*")
_REPLACE = re.compile(r">{5,9} ?REPLACE\s*")
_OPENING = re.compile(r"(`{3,})[ \t]*([\w+#.-]*)")
_WORD = re.compile(r"\w+")
_SHOWN_LINES = 12
_COMPARED = 5


class EditError(KoptError):
    """A reply whose edits cannot be used. ``str(error)`` is feedback for the model, of several short lines."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """Replace ``search`` by ``replace`` in ``path``; None where the only editable file is meant."""

    path: str | None
    search: str
    replace: str


def whole_file(reply: str) -> tuple[str, str]:
    """The last fenced block of a reply, with the language it names: models think aloud before they answer.

    Raises:
        EditError: there is none, or it has no end.
    """
    blocks = _fenced(reply)
    if blocks:
        return blocks[-1]
    if "```" in reply:
        raise EditError("the reply ends inside its code block: give the whole file, and less talk before it")
    raise EditError("the reply holds no file: give it in one fenced code block")


def _fenced(reply: str) -> list[tuple[str, str]]:
    """Language and text of each fenced block: from a line that opens one to the next of as many bare backticks.

    In time linear in the reply, for models write what they like: a line that opens a block which has no end is talk.
    """
    lines = reply.split("\n")
    ends: dict[int, list[int]] = {}
    for number, line in enumerate(lines):
        bare = line.rstrip(" \t")
        if bare and not bare.strip("`"):
            ends.setdefault(len(bare), []).append(number)
    blocks: list[tuple[str, str]] = []
    number = 0
    while number < len(lines):
        opening = _OPENING.match(lines[number])
        end = None
        if opening and "`" not in lines[number][opening.end(1) :]:
            fitting = ends.get(len(opening[1]), [])
            place = bisect.bisect(fitting, number)
            end = fitting[place] if place < len(fitting) else None
        if opening and end is not None:
            blocks.append((opening[2], "".join(f"{line}\n" for line in lines[number + 1 : end])))
            number = end
        number += 1
    return blocks


def parse_edits(reply: str) -> list[Edit]:
    """The SEARCH/REPLACE blocks of a reply, in order.

    Raises:
        EditError: there are none, or one has no end.
    """
    edits: list[Edit] = []
    parts: list[list[str]] = []
    path: str | None = None
    before = ""
    for line in reply.splitlines(keepends=True):
        if _SEARCH.fullmatch(line) and not parts:
            parts, path = [[]], _path(before)
        elif len(parts) == 1 and _DIVIDER.fullmatch(line):
            parts.append([])
        elif len(parts) == 2 and _REPLACE.fullmatch(line):
            edits.append(Edit(path=path, search="".join(parts[0]), replace="".join(parts[1])))
            parts, before = [], ""
        elif parts:
            parts[-1].append(line)
        elif line.strip() and not line.lstrip().startswith("```"):
            before = line
    if parts:
        what = "=======" if len(parts) == 1 else ">>>>>>> REPLACE"
        raise EditError(f"edit {len(edits) + 1} has no line `{what}`: write each block to its end")
    if not edits:
        raise EditError("the reply holds no edits: write blocks of <<<<<<< SEARCH, =======, >>>>>>> REPLACE")
    return edits


def _path(line: str) -> str | None:
    """The file named on the line before a block, or None where that line is only talk."""
    name = line.strip().strip("`*").removeprefix("File:").removeprefix("### ").strip().strip("`:")
    return name if re.fullmatch(r"[\w./+-]+\.[\w+]+", name) else None


def apply_edits(sources: Mapping[str, str], edits: Sequence[Edit], scope: Scope) -> dict[str, str]:
    """The sources with all edits made.

    Args:
        sources: path to text.
        edits: applied in order, each to what those before it left.
        scope: what may be changed.

    Raises:
        EditError: one does not apply; the sources are as they were.
    """
    changed = dict(sources)
    for number, edit in enumerate(edits, 1):
        title = f"edit {number} of {len(edits)}"
        path = _target(edit, changed, scope, title)
        if path not in changed:
            if edit.search.strip():
                raise EditError(f"{title}: there is no file {path}; a new file has an empty SEARCH")
            changed[path] = edit.replace
        else:
            changed[path] = _replace(changed[path], edit, path, title)
    return changed


def _target(edit: Edit, sources: Mapping[str, str], scope: Scope, title: str) -> str:
    editable = [path for path in sources if scope.allows(path)]
    if edit.path is None:
        if len(editable) == 1:
            return editable[0]
        raise EditError(
            f"{title} names no file: write one of {', '.join(editable[:8])} on the line before it"
        )
    if not scope.allows(edit.path):
        raise EditError(f"{title}: {edit.path} may not be changed; these may: {', '.join(editable[:8])}")
    return edit.path


def _replace(text: str, edit: Edit, path: str, title: str) -> str:
    lines, wanted = text.splitlines(keepends=True), edit.search.splitlines()
    if not any(line.strip() for line in wanted):
        raise EditError(f"{title}: {path} exists, so SEARCH must hold the lines to replace")
    places = _places(lines, wanted)
    if not places:
        raise EditError(f"{title} does not apply to {path}: {_nearest(lines, wanted)}")
    if len(places) > 1:
        where = ", ".join(str(place + 1) for place in places[:8])
        raise EditError(f"{title}: SEARCH matches {path} at lines {where}; add lines until it matches once")
    begin, end = places[0], places[0] + len(wanted)
    _check_blocks(lines, begin, end, edit, path, title)
    replacement = edit.replace
    if replacement and not replacement.endswith("\n") and end < len(lines):
        replacement += "\n"
    return "".join(lines[:begin]) + replacement + "".join(lines[end:])


def _places(lines: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Where the wanted lines stand; white space at the ends of lines does not count."""
    have, want = [line.rstrip() for line in lines], [line.rstrip() for line in wanted]
    return [start for start in range(len(have) - len(want) + 1) if have[start : start + len(want)] == want]


def _check_blocks(lines: Sequence[str], begin: int, end: int, edit: Edit, path: str, title: str) -> None:
    """Keep edits between the markers, and the markers where they are."""
    blocks = editable_lines("".join(lines))
    if blocks is None:
        return
    if any(marker in text for marker in (START, END) for text in (edit.search, edit.replace)):
        raise EditError(f"{title}: the lines with EVOLVE-BLOCK markers stay as they are; edit between them")
    if not any(first <= begin and end <= last for first, last in blocks):
        spans = ", ".join(f"{first + 1}-{last}" for first, last in blocks)
        raise EditError(f"{title}: lines {begin + 1}-{end} of {path} may not be changed; lines {spans} may")


def editable_lines(text: str) -> list[tuple[int, int]] | None:
    """The spans between the markers (:func:`kopt.problems.scope.editable_lines`).

    Raises:
        EditError: a marker has no partner.
    """
    try:
        return spans_between_markers(text)
    except MarkerError as error:
        raise EditError(str(error)) from None


def _nearest(lines: Sequence[str], wanted: Sequence[str]) -> str:
    """The place most like the wanted lines, with line numbers, and the first line that differs."""
    have, want = [line.rstrip() for line in lines], [line.rstrip() for line in wanted]
    size = min(len(want), len(have))
    if not size:
        return "the file is empty"
    likely = _likely(have, want, size)

    def alike(start: int) -> float:
        pairs = zip(have[start : start + size], want, strict=False)
        return sum(difflib.SequenceMatcher(None, mine, theirs).ratio() for mine, theirs in pairs) / len(want)

    best = max(likely, key=alike)
    numbered = [
        f"{best + offset + 1:>5}| {line}"
        for offset, line in enumerate(have[best : best + size][:_SHOWN_LINES])
    ]
    if size > _SHOWN_LINES:
        numbered.append(f"     | ... {size - _SHOWN_LINES} more lines")
    differ = next((i for i in range(size) if have[best + i] != want[i]), None)
    if differ is None:
        tail = f"SEARCH has {len(want)} lines, and the file ends at line {len(have)}"
    else:
        tail = f"line {best + differ + 1} is {have[best + differ]!r}, SEARCH has {want[differ]!r}"
    return f"nearest match at lines {best + 1}-{best + size} ({alike(best):.0%} alike)\n" + "\n".join(
        [*numbered, tail]
    )


def _likely(have: Sequence[str], want: Sequence[str], size: int) -> list[int]:
    """Where windows of ``size`` lines share most words with the wanted ones; one pass over the file."""
    wanted = Counter(word for line in want for word in _WORD.findall(line))
    words = [_WORD.findall(line) for line in have]
    window: Counter[str] = Counter()
    shared, scores = 0, []
    for number, line in enumerate(words):
        for word in line:
            shared += window[word] < wanted[word]
            window[word] += 1
        if number >= size:
            for word in words[number - size]:
                window[word] -= 1
                shared -= window[word] < wanted[word]
        if number >= size - 1:
            scores.append((-shared, number - size + 1))
    return [start for _, start in sorted(scores)[:_COMPARED]]
