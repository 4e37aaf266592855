"""The runner's message loop. A round is one read, the calls, one write."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import traceback
from typing import Any, Protocol

from .placement import Placement
from .wire import ANSWER, ASK, FAILED, MAX_REPLY, MAX_REQUEST, OK, REQUEST


class BadRequest(Exception):
    """What was asked for makes no sense now; ``kind`` tells the judge what sort of failure it is."""

    def __init__(self, message: str, *, kind: str = "exception") -> None:
        super().__init__(message)
        self.kind = kind


class Program(Protocol):
    """What a role must offer."""

    directory: str
    own_threads: bool

    def request(self, op: str, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """Answer one request."""

    def round(self, start: int, count: int) -> None:
        """Call the implementation on ``count`` slots from ``start``."""

    def rest(self) -> None:
        """Called after a round was answered: what need not be timed."""


def describe(error: BaseException, directory: str) -> dict[str, Any]:
    """An exception as JSON: kind, type, message, and the deepest frame that lies in the given sources."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename.startswith(directory)]
    place = own[-1] if own else None
    file = place.filename[len(directory) :].lstrip("/") if place else ""
    line = place.lineno if place else None
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename.removeprefix(directory).lstrip("/"), error.lineno
    try:
        message = str(error)
    except BaseException as failure:  # an exception class of the candidate's own may do anything
        message = f"<{type(failure).__name__} while describing the error>"
    trace = "".join(traceback.format_list(own[-6:] or frames[-4:]))
    return {
        "kind": str(getattr(error, "kind", "exception"))[:40],
        "type": type(error).__name__[:200],
        "message": message[:4000],
        "file": file[:200],
        "line": line,
        "trace": trace[-4000:],
    }


def _read(link: socket.socket, view: memoryview) -> bool:
    while view:
        count = link.recv_into(view)
        if not count:
            return False
        view = view[count:]
    return True


def _body(link: socket.socket, length: int) -> tuple[dict[str, Any], list[int]] | None:
    if length > MAX_REQUEST:
        return None
    data, fds, _, _ = socket.recv_fds(link, min(length, 1 << 16), 16)
    rest = bytearray(length - len(data))
    if not data or not _read(link, memoryview(rest)):
        return None
    return json.loads(data + rest), list(fds)


def _answer(program: Program, message: dict[str, Any], fds: list[int]) -> bytes:
    try:
        reply = {"ok": True, "result": program.request(message["op"], message["body"], fds)}
    except BaseException as error:
        reply = {"ok": False, "error": describe(error, program.directory)}
    data = json.dumps(reply, default=str).encode()
    if len(data) > MAX_REPLY:
        failure = {
            "kind": "exception",
            "type": "ReplyTooLong",
            "message": f"{message['op']}: {len(data)} bytes",
        }
        data = json.dumps({"ok": False, "error": failure}).encode()
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)  # mappings stay; what was needed has been mapped
    return data


def serve(link: socket.socket, program: Program, placement: Placement) -> None:
    """Answer the judge until it closes the socket."""
    header = bytearray(ASK.size)
    whole = memoryview(header)
    failure: dict[str, Any] | None = None
    while True:
        count = link.recv_into(header)
        if not count:
            return
        if count < ASK.size and not _read(link, whole[count:]):
            return
        start, amount, nonce = ASK.unpack(header)
        if start != REQUEST:
            try:
                if not program.own_threads:
                    placement.hold()
                program.round(start, amount)
                link.send(ANSWER.pack(nonce, OK, 0))
            except BaseException as error:
                failure = describe(error, program.directory)
                link.send(ANSWER.pack(nonce, FAILED, 0))
            program.rest()
            continue
        placement.release()
        received = _body(link, amount)
        if received is None:
            return
        message, fds = received
        if message["op"] == "error":
            data = json.dumps({"ok": True, "result": {"error": failure}}).encode()
        else:
            data = _answer(program, message, fds)
        link.sendall(ANSWER.pack(nonce, OK, len(data)) + data)
