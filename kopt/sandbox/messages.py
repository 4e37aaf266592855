"""Words from processes nobody trusts, read within bounds: size, depth, numbers, and the letters of strings.

Everything that crosses from a sandbox as JSON is read here and nowhere else. What comes out is plain values: numbers
that fit 64 bits and are finite, strings that can be encoded, stored and printed without moving a terminal's cursor.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from kopt.sandbox.errors import ProtocolViolation

DEPTH = 40
_DIGITS = 20
# Lone surrogates cannot be encoded; control characters other than tab and newline, and those that turn the direction
# of writing, would act on the terminal or page that shows them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text with every character that cannot be shown safely replaced."""
    return _UNPRINTABLE.sub("\ufffd", text)


def _integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError("a number is too long")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _clean(value: Any, allowed: int) -> Any:
    if allowed < 0:
        raise ProtocolViolation("the runner's reply is nested too deeply")
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): _clean(item, allowed - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, allowed - 1) for item in value]
    return value


def parse(data: bytes) -> dict[str, Any]:
    """Read one JSON object that anybody may have written; the caller bounds its size.

    Raises:
        ProtocolViolation: it is not a JSON object of moderate depth with ordinary numbers.
    """
    try:
        value = json.loads(
            data.decode("utf-8"), parse_int=_integer, parse_float=_real, parse_constant=_constant
        )
    except (ValueError, RecursionError) as error:
        reason = printable(str(error))[:100]
        raise ProtocolViolation(f"the runner's reply is not JSON: {reason}") from None
    if not isinstance(value, dict):
        raise ProtocolViolation("the runner's reply is not a JSON object")
    cleaned: dict[str, Any] = _clean(value, DEPTH)
    return cleaned
