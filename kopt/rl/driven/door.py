"""Where an agent asks: a Unix socket, one question a connection, answered when the judge has spoken.

What comes in is anybody's: it is bounded in size and time, and read by the reader for words from sandboxes.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from kopt.sandbox.errors import ProtocolViolation
from kopt.sandbox.messages import parse

MOST_BYTES = 1 << 20
_SECONDS = 10.0
_SLICE = 0.2


class Asked:
    """One question. It must be answered; a client that has gone does not mind."""

    def __init__(self, link: socket.socket, words: Mapping[str, Any]) -> None:
        self._link, self.words = link, words

    def answer(self, words: Mapping[str, Any]) -> None:
        """Say it and hang up."""
        with contextlib.suppress(OSError):
            self._link.settimeout(_SECONDS)
            self._link.sendall(json.dumps(words).encode())
        self._link.close()


class Door:
    """The socket at ``path``, of which only its owner may ask. A context manager."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        os.chmod(path, 0o600)  # noqa: PTH101
        self._socket.listen(16)
        self._socket.settimeout(_SLICE)

    def __enter__(self) -> Door:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def next(self, over: Callable[[], bool]) -> Asked | None:
        """Wait for a question; None once ``over`` says that none is to come."""
        while not over():
            try:
                link, _ = self._socket.accept()
            except TimeoutError:
                continue
            words = _heard(link)
            if words is not None:
                return Asked(link, words)
        return None


def _heard(link: socket.socket) -> dict[str, Any] | None:
    """What a client says until it stops saying; None, and it is told, where that is nothing that can be read."""
    data, deadline = bytearray(), time.monotonic() + _SECONDS
    try:
        while len(data) <= MOST_BYTES:
            link.settimeout(max(0.01, deadline - time.monotonic()))
            part = link.recv(1 << 16)
            if not part:
                return parse(bytes(data))
            data += part
        reason = f"more than {MOST_BYTES >> 20} MiB: send sources, not data"
    except (OSError, ProtocolViolation):
        reason = "it could not be read: use ./judge"
    Asked(link, {}).answer({"error": reason})
    return None
