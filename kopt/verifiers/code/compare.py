"""Whether a program printed what it should have: by bytes, by words, or by numbers within a tolerance."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from kopt.problems.code import Rules

_SHOWN = 60


def difference(rules: Rules, expected: bytes, got: bytes) -> str | None:
    """None where they agree, else the first disagreement in a few words."""
    if rules.compare == "exact":
        return None if expected == got else _first(expected.splitlines(True), got.splitlines(True), "line")
    if rules.compare == "tokens":
        one, other = expected.split(), got.split()
        return None if one == other else _first(one, other, "word")
    return _numbers(rules, _read(rules, expected), _read(rules, got))


def _read(rules: Rules, data: bytes) -> npt.NDArray[np.float64] | None:
    """All numbers, as float64; None where there is something else."""
    if rules.compare == "float64":
        return None if len(data) % 8 else np.frombuffer(data, "<f8")
    try:
        return np.array([float(word) for word in data.split()], np.float64)
    except ValueError:
        return None


def _numbers(
    rules: Rules, expected: npt.NDArray[np.float64] | None, got: npt.NDArray[np.float64] | None
) -> str | None:
    if expected is None:
        return "what the original prints is no list of numbers"
    if got is None:
        return "what it prints is no list of numbers"
    if expected.size != got.size:
        return f"it prints {got.size} numbers, not {expected.size}"
    with np.errstate(all="ignore"):
        near = np.abs(got - expected) <= rules.atol + rules.rtol * np.abs(expected)
    right = np.where(np.isfinite(expected), near & np.isfinite(got), got == expected)
    right |= np.isnan(expected) & np.isnan(got)
    if right.all():
        return None
    at = int(np.argmin(right))
    wrong = int(right.size - np.count_nonzero(right))
    return f"number {at + 1} is {got[at]:.9g}, not {expected[at]:.9g}; {wrong} of {right.size} are wrong"


def _first(expected: list[bytes], got: list[bytes], what: str) -> str:
    for number, (one, other) in enumerate(zip_longest(expected, got), 1):
        if one != other:
            return f"{what} {number} is {_show(other)}, not {_show(one)}"
    return "the outputs differ"


def _show(word: bytes | None) -> str:
    return "missing" if word is None else repr(word[:_SHOWN].decode("utf-8", "replace"))
