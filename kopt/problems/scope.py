"""What may be changed: files by pattern, and in a file with ``EVOLVE-BLOCK`` markers only what lies between."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

START, END = "EVOLVE-BLOCK-START", "EVOLVE-BLOCK-END"


class MarkerError(ValueError):
    """A marker without a partner. ``str(error)`` names its line."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What may be changed: files by pattern, and in a file with ``EVOLVE-BLOCK`` markers only what lies between."""

    paths: tuple[str, ...] = ("*",)

    def allows(self, path: str) -> bool:
        """Whether a file may be changed, or made."""
        inside = not path.startswith("/") and ".." not in path.split("/")
        return inside and any(fnmatch.fnmatchcase(path, pattern) for pattern in self.paths)


def editable_lines(text: str) -> list[tuple[int, int]] | None:
    """The spans between the markers, from 0, ends excluded; None where there are no markers: all is editable.

    Raises:
        MarkerError: a marker has no partner.
    """
    spans, begin = [], None
    for number, line in enumerate(text.splitlines()):
        if START in line:
            if begin is not None:
                raise MarkerError(f"line {number + 1}: {START} inside a block; close the one before it")
            begin = number + 1
        elif END in line:
            if begin is None:
                raise MarkerError(f"line {number + 1}: {END} without a beginning")
            spans.append((begin, number))
            begin = None
    if begin is not None:
        raise MarkerError(f"line {begin}: {START} has no end")
    return spans or None


def fixed_lines(text: str) -> list[list[str]] | None:
    """The lines before, between and after the blocks, markers included; None where all is editable.

    Raises:
        MarkerError: a marker has no partner.
    """
    spans = editable_lines(text)
    if spans is None:
        return None
    lines, at, parts = text.splitlines(), 0, []
    for begin, end in spans:
        parts.append(lines[at:begin])
        at = end
    return [*parts, lines[at:]]
