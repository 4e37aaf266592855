"""A runner's first line: sent by trusted code before a problem or candidate is loaded, yet read as if it were not."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
import time
from dataclasses import dataclass, field

from kopt.sandbox.errors import ProtocolViolation
from kopt.sandbox.messages import parse

MOST_BYTES = 1 << 16
GREETED_WITHIN = 30.0
"""Seconds from a fork to the first line."""
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class Greeting:
    """Which ``layers`` hold, or why the runner ``failed`` to start. ``pid`` is the kernel's word, not the runner's."""

    pid: int | None = None
    layers: dict[str, bool | str] = field(default_factory=dict)
    failed: str = ""


def receive(link: socket.socket, timeout: float = GREETED_WITHIN) -> Greeting:
    """Wait for the first line, its sender's pid from the kernel. Without a pid nothing (usable) came.

    The socket must ask for credentials (``SO_PASSCRED``); afterwards it no longer does.
    """
    data, pid = bytearray(), None
    deadline = time.monotonic() + timeout
    while not data.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or len(data) > MOST_BYTES:
            return Greeting()
        link.settimeout(left)
        try:
            part, ancillary, _, _ = link.recvmsg(MOST_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size))
        except OSError:
            return Greeting()
        if not part:
            return Greeting()
        data += part
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                pid = _CREDENTIALS.unpack_from(payload)[0]
            elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                _close(payload)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
    try:
        told = parse(bytes(data))
    except ProtocolViolation:
        return Greeting()
    layers = told.get("layers")
    return Greeting(
        pid=pid,
        layers={name: holds for name, holds in layers.items() if isinstance(holds, (bool, str))}
        if isinstance(layers, dict)
        else {},
        failed=str(told["failed"])[:2000] if told.get("failed") else "",
    )


def _close(payload: bytes) -> None:
    """Nobody was asked for descriptors."""
    received = array.array("i")
    received.frombytes(payload[: len(payload) // received.itemsize * received.itemsize])
    for fd in received:
        with contextlib.suppress(OSError):
            os.close(fd)
