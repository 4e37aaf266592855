"""Builds on disk, by content: written atomically, checked when read, made once even by two processes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_KEYS = {"ok", "log", "first_error", "report", "artifact"}


class BuildCache:
    """Records and artefacts under one directory, keyed by digest."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def _place(self, digest: str) -> Path:
        return self.root / digest[:2] / digest

    def get(self, digest: str) -> tuple[dict[str, Any], bytes | None] | None:
        """A record and its artefact, or None where there is none or its bytes are not what was stored."""
        place = self._place(digest)
        try:
            record = json.loads((place / "record.json").read_text())
            artifact = (place / "artifact").read_bytes() if record["artifact"] else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        if not isinstance(record, dict) or not set(record) >= _KEYS:
            return None
        if artifact is not None and hashlib.sha256(artifact).hexdigest() != record["artifact"]:
            shutil.rmtree(place, ignore_errors=True)
            return None
        return record, artifact

    def put(self, digest: str, record: dict[str, Any], artifact: bytes | None) -> None:
        """Store a record; whoever comes second finds the first one's."""
        place = self._place(digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self.root))
        if artifact is not None:
            (draft / "artifact").write_bytes(artifact)
        sealed = record | {"artifact": hashlib.sha256(artifact).hexdigest() if artifact is not None else None}
        (draft / "record.json").write_text(json.dumps(sealed, sort_keys=True))
        try:
            draft.rename(place)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold off every other process that wants to make the same thing."""
        directory = self.root / "locks"
        directory.mkdir(exist_ok=True)
        fd = os.open(directory / name[:16], os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)
