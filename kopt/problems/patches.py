"""Git patches as text: taken apart and applied here, so that no tool of the host reads what nobody trusts."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kopt.errors import UsageError

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_REFUSED = ("rename from ", "copy from ", "deleted file mode", "GIT binary patch", "Binary files ")
_NONE = "/dev/null"


@dataclass
class _Hunk:
    start: int
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


def make_patch(before: Mapping[str, str], after: Mapping[str, str], heading: str = "") -> str:
    """A patch that ``git apply`` takes, under lines of prose that it skips. Files only in ``before`` stay."""
    parts = [f"{heading.rstrip()}\n\n"] if heading else []
    for path in sorted(after):
        old = before.get(path)
        if old == after[path]:
            continue
        parts.append(f"diff --git a/{path} b/{path}\n")
        if old is None:
            parts.append("new file mode 100644\n")
        source = _NONE if old is None else f"a/{path}"
        for line in difflib.unified_diff(_lines(old or ""), _lines(after[path]), source, f"b/{path}"):
            parts.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(parts)


def apply_patch(sources: Mapping[str, str], text: str) -> dict[str, str]:
    """The files that a patch changes or makes, whole.

    A hunk that does not fit where it says is looked for elsewhere, and taken where it fits once.

    Raises:
        UsageError: it is no patch, does not apply, or does more than change and make text files.
    """
    changed: dict[str, str] = {}
    for path, new, hunks in _files(text):
        if path in sources and new:
            raise UsageError(f"the patch makes {path}, which exists: make it against the problem's own files")
        if path not in sources and not new:
            raise UsageError(f"the patch changes {path}, which the problem does not have: check its paths")
        lines = _lines(changed.get(path, sources.get(path, "")))
        shift = 0
        for number, hunk in enumerate(hunks, 1):
            at = _place(lines, hunk, shift)
            if at is None:
                raise UsageError(
                    f"hunk {number} for {path} does not apply: make the patch against the problem's own files"
                )
            lines[at : at + len(hunk.old)] = hunk.new
            shift = at + len(hunk.new) - (hunk.start + len(hunk.old))
        changed[path] = "".join(lines)
    if not changed:
        raise UsageError("the patch changes nothing: give the output of `git diff`")
    return changed


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True) if "\r" not in text else re.findall(r"[^\n]*\n|[^\n]+", text)


def _place(lines: list[str], hunk: _Hunk, shift: int) -> int | None:
    def fits(at: int) -> bool:
        return at >= 0 and lines[at : at + len(hunk.old)] == hunk.old

    if fits(hunk.start + shift):
        return hunk.start + shift
    if not hunk.old:
        return None
    found = [at for at in range(len(lines) - len(hunk.old) + 1) if fits(at)]
    return found[0] if len(found) == 1 else None


def _files(text: str) -> list[tuple[str, bool, list[_Hunk]]]:
    """Path, whether it is new, and hunks of every file."""
    found: list[tuple[str, bool, list[_Hunk]]] = []
    lines = text.splitlines(keepends=True)
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith(_REFUSED):
            raise UsageError(
                "a patch may change and make text files; deleting, renaming and binaries are not taken"
            )
        if line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            old, new = _name(line), _name(lines[at + 1])
            if new == _NONE:
                raise UsageError("a patch may change and make text files; deleting is not taken")
            found.append((new, old == _NONE, []))
            at += 2
            continue
        match = _HUNK.match(line)
        if match and found:
            hunk, at = _hunk(lines, at, match)
            found[-1][2].append(hunk)
            continue
        at += 1
    return found


def _name(line: str) -> str:
    name = line[4:].rstrip("\r\n").split("\t")[0]
    if name == _NONE:
        return name
    if name.startswith('"'):
        raise UsageError(f"the patch names {name}: files with such names are not taken")
    return name[2:] if name[:2] in ("a/", "b/") else name


def _hunk(lines: list[str], at: int, match: re.Match[str]) -> tuple[_Hunk, int]:
    start, size, _, added = (int(group) if group else 1 for group in match.groups())
    hunk = _Hunk(start - 1 if size else start)
    at += 1
    last: list[list[str]] = []
    while at < len(lines) and (len(hunk.old) < size or len(hunk.new) < added or lines[at][0] == "\\"):
        mark, rest = lines[at][0], lines[at][1:]
        if mark == "\\":
            for side in last:
                side[-1] = side[-1].removesuffix("\n")
        elif mark in " -+" or lines[at] == "\n":
            rest = "\n" if lines[at] == "\n" else rest
            last = [side for side, marks in ((hunk.old, " -\n"), (hunk.new, " +\n")) if mark in marks]
            for side in last:
                side.append(rest)
        else:
            break
        at += 1
    if len(hunk.old) != size or len(hunk.new) != added:
        raise UsageError("the patch is cut short: give the whole output of `git diff`")
    return hunk, at
