"""Whether a program printed what it should have: by bytes, by words, or by numbers within a tolerance.

Outputs may have 64 MiB, and a word or number of two bytes takes fifty and more as an object: both sides are taken
apart in pieces, side by side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kopt.problems.code import Rules

_SHOWN = 60
_PIECE = 1 << 17
"""Bytes that are taken apart at a time; a longer word is taken whole."""
_SPACE = re.compile(rb"\s")

Floats = npt.NDArray[np.float64]


class _NoNumbers(ValueError):
    """What one side prints is something else; the text says whose."""


def difference(rules: Rules, expected: bytes, got: bytes) -> str | None:
    """None where they agree, else the first disagreement in a few words."""
    if expected == got and rules.compare in ("exact", "tokens"):
        return None
    if rules.compare == "exact":
        return _line(expected, got)
    return _word(expected, got) if rules.compare == "tokens" else _numbers(rules, expected, got)


def _line(expected: bytes, got: bytes) -> str:
    """The first line that differs, of outputs that do."""
    at = _first_difference(expected, got)
    if got[at - 1 : at] == b"\r" and b"\n" in (expected[at : at + 1], got[at : at + 1]):
        at -= 1  # the line has not ended in both
    ends = [got.count(mark, 0, at) for mark in (b"\n", b"\r", b"\r\n")]
    start = max(got.rfind(b"\n", 0, at), got.rfind(b"\r", 0, at)) + 1
    one, other = (_beginning(data, start) for data in (expected, got))
    return f"line {ends[0] + ends[1] - ends[2] + 1} is {_show(other)}, not {_show(one)}"


def _first_difference(one: bytes, other: bytes) -> int:
    for begin in range(0, min(len(one), len(other)), _PIECE):
        a, b = one[begin : begin + _PIECE], other[begin : begin + _PIECE]
        if a != b:
            size = min(len(a), len(b))
            unequal = np.frombuffer(a, "u1", size) != np.frombuffer(b, "u1", size)
            return begin + (int(unequal.argmax()) if unequal.any() else size)
    return min(len(one), len(other))


def _beginning(data: bytes, start: int) -> bytes | None:
    """The beginning of the line that begins there; None at the end."""
    lines = data[start : start + _SHOWN + 2].splitlines(True)
    return lines[0] if lines else None


def _word(expected: bytes, got: bytes) -> str | None:
    number = 1
    for ones, others in _side_by_side(_words(expected), _words(got)):
        if ones != others:
            length = min(len(ones), len(others))
            at = next((n for n in range(length) if ones[n] != others[n]), length)
            one, other = (next(iter(words[at : at + 1]), None) for words in (ones, others))
            return f"word {number + at} is {_show(other)}, not {_show(one)}"
        number += len(ones)
    return None


def _words(data: bytes) -> Iterator[list[bytes]]:
    """The words, some at a time and never none."""
    begin = 0
    while begin < len(data):
        space = _SPACE.search(data, begin + _PIECE)
        end = space.start() if space else len(data)
        words = data[begin:end].split()
        if words:
            yield words
        begin = end


def _floats(rules: Rules, data: bytes, whose: str) -> Iterator[Floats]:
    """The numbers, some at a time and never none.

    Raises:
        _NoNumbers: there is something else.
    """
    if rules.compare == "float64":
        if len(data) % 8:
            raise _NoNumbers(whose)
        yield from (
            np.frombuffer(data[begin : begin + _PIECE], "<f8") for begin in range(0, len(data), _PIECE)
        )
        return
    for words in _words(data):
        try:
            yield np.array([float(word) for word in words], np.float64)
        except ValueError:
            raise _NoNumbers(whose) from None


def _side_by_side(ones: Iterator[Any], others: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    """Equally many of both at a time; last what one side has beyond the other, beside nothing."""
    one, other = next(ones, None), next(others, None)
    while one is not None and other is not None:
        length = min(len(one), len(other))
        yield one[:length], other[:length]
        one = one[length:] if len(one) > length else next(ones, None)
        other = other[length:] if len(other) > length else next(others, None)
    while one is not None:
        yield one, one[:0]
        one = next(ones, None)
    while other is not None:
        yield other[:0], other
        other = next(others, None)


@dataclass
class _Tally:
    """Numbers seen and wrong ones among them; the first of these in words."""

    rules: Rules
    expected: int = 0
    got: int = 0
    wrong: int = 0
    first: str = ""

    def add(self, expected: Floats, got: Floats) -> None:
        """Compare some, as far as there are two."""
        if expected.size == got.size:
            with np.errstate(all="ignore"):
                near = np.abs(got - expected) <= self.rules.atol + self.rules.rtol * np.abs(expected)
            right = np.where(np.isfinite(expected), near & np.isfinite(got), got == expected)
            right |= np.isnan(expected) & np.isnan(got)
            if not right.all():
                at = int(np.argmin(right))
                number = self.expected + at + 1
                self.first = self.first or f"number {number} is {got[at]:.9g}, not {expected[at]:.9g}"
                self.wrong += int(right.size - np.count_nonzero(right))
        self.expected += expected.size
        self.got += got.size


def _numbers(rules: Rules, expected: bytes, got: bytes) -> str | None:
    ones = _floats(rules, expected, "what the original prints")
    others = _floats(rules, got, "what it prints")
    tally = _Tally(rules)
    try:
        try:
            for one, other in _side_by_side(ones, others):
                tally.add(one, other)
        finally:
            for _ in ones:  # the original's own fault is told first
                pass
    except _NoNumbers as error:
        return f"{error} is no list of numbers"
    if tally.expected != tally.got:
        return f"it prints {tally.got} numbers, not {tally.expected}"
    return f"{tally.first}; {tally.wrong} of {tally.expected} are wrong" if tally.wrong else None


def _show(word: bytes | None) -> str:
    return "missing" if word is None else repr(word[:_SHOWN].decode("utf-8", "replace"))
