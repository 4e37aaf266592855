"""What clients have sent, so that it need not be sent again."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from typing import Any, Generic, TypeVar

_KEPT = 64
Thing = TypeVar("Thing")


class Shelf(Generic[Thing]):
    """The last few things, each by an id that is made of its contents."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._things: OrderedDict[str, Thing] = OrderedDict()

    def put(self, thing: Thing, contents: Any) -> str:
        """Keep a thing whose ``contents``, JSON values, tell it from others; return its id."""
        text = json.dumps(contents, sort_keys=True).encode()
        name = self._prefix + hashlib.sha256(text).hexdigest()[:16]
        self._things[name] = thing
        self._things.move_to_end(name)
        while len(self._things) > _KEPT:
            self._things.popitem(last=False)
        return name

    def get(self, name: str) -> Thing | None:
        """The thing of that id, or None."""
        return self._things.get(name)
