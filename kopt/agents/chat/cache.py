"""Replies kept by what was asked: the model, the request and which sample of it.

It is what makes a resumed run repeat its past without paying again. One file per reply, written whole or not
at all; one that cannot be read is a miss. The request is kept beside the reply, as a trajectory's raw material.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from kopt.words import to_json


class ReplyCache:
    """A folder of replies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"

    def get(self, key: str) -> dict[str, Any] | None:
        """The reply kept under a key, as it was put there."""
        try:
            document = json.loads(self._path(key).read_text(encoding="utf-8"))
            reply = document["reply"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return reply if isinstance(reply, dict) else None

    def put(self, key: str, request: Any, reply: Any) -> None:
        """Keep a reply. A full or read-only disk costs the cache, never the run."""
        path = self._path(key)
        text = json.dumps({"request": to_json(request), "reply": to_json(reply)}, indent=1)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(path)
        except OSError:
            return
