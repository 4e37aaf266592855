"""Tunables that a source declares: a constant on a line of its own, with its choices in the line's comment.

    #define BLOCK 64  // tune: 16, 32, 64, 128
    constexpr int UNROLL = 4;  // tune: 1, 2, 4, 8
    ROWS = 8  # tune: 4, 8, 16

The value that stands there is the default. A line that does not read so declares nothing. Texts are hostile: lines are
looked at one by one, and long ones not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from kopt.words.candidate import Tunable

MOST_TUNABLES, MOST_CHOICES, MOST_LINE = 16, 64, 300
_MARK = re.compile(r"[ \t]*(?://|#)[ \t]*tune:")
_NUMBER = r"[-+]?(?:\d+\.\d*|\.?\d+)(?:[eE][-+]?\d+)?"
_CONSTANT = re.compile(
    rf"(?P<head>.*\b(?P<name>[A-Za-z_]\w{{0,63}})[ \t]*(?:=[ \t]*|[ \t]))(?P<value>{_NUMBER})(?P<tail>[ \t]*;?)"
)


def declared(text: str) -> tuple[Tunable, ...]:
    """The tunables of a source, in order; a name that is declared twice is none."""
    found: dict[str, Tunable | None] = {}

    def note(constant: re.Match[str], comment: str) -> str:
        name, default = constant["name"], _number(constant["value"])
        words = [word.strip() for word in comment.split(",")]
        if 2 <= len(words) <= MOST_CHOICES and all(re.fullmatch(_NUMBER, word) for word in words):
            choices = tuple(dict.fromkeys([*map(_number, words), default]))
            found[name] = None if name in found else Tunable(name=name, choices=choices, default=default)
        return constant["value"]

    _each(text, note)
    return tuple(tunable for tunable in found.values() if tunable is not None)[:MOST_TUNABLES]


def rewrite(text: str, values: Mapping[str, int | float | str]) -> tuple[str, set[str]]:
    """The source with other values where it declares them, and the names of those."""
    done: set[str] = set()

    def put(constant: re.Match[str], _comment: str) -> str:
        if constant["name"] not in values:
            return constant["value"]
        done.add(constant["name"])
        return str(values[constant["name"]])

    return _each(text, put), done


def _each(text: str, value_of: Callable[[re.Match[str], str], str]) -> str:
    """The text, with each declaring line's value as ``value_of(constant, comment)`` says."""
    if "tune:" not in text:
        return text
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if "tune:" not in line or len(line) > MOST_LINE:
            continue
        mark = _MARK.search(line)
        constant = _CONSTANT.fullmatch(line, 0, mark.start()) if mark else None
        if mark and constant:
            value = value_of(constant, line[mark.end() :])
            lines[number] = f"{constant['head']}{value}{line[constant.end('value') :]}"
    return "\n".join(lines)


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
