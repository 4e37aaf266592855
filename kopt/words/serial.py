"""Canonical JSON for words, and the digests made from it.

Digests are sha256 over canonical JSON (sorted keys, no white space) with the tag ``kopt/1``, so that two
machines agree on the identity of a problem or a candidate byte for byte.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = "kopt/1"
Word = TypeVar("Word")


def to_json(value: Any) -> Any:
    """Turn a word (or a container of words) into plain JSON values; NaN and infinities become strings."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


@functools.cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def from_json(kind: type[Word], value: Any) -> Word:
    """Rebuild a word from :func:`to_json`'s output.

    Raises:
        pydantic.ValidationError: the value does not fit the word.
    """
    return _adapter(kind).validate_python(value)  # type: ignore[no-any-return,arg-type]


def digest_of(value: Any) -> str:
    """Return the sha256 hex digest of a word's canonical JSON."""
    text = json.dumps([SCHEMA, to_json(value)], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
