"""A test double: an OpenAI-compatible server that plays a script and injects faults. No model is behind it.

Every test of the chat client talks to it over real HTTP through litellm and openai's own client.

    with FakeOpenAI([fail(429, retry_after=1), say("hello")]) as server:
        ... server.url, server.requests
"""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclasses.dataclass
class Turn:
    """What the server does with one request."""

    text: str = ""
    tool_calls: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    finish: str | None = "stop"
    refusal: str = ""
    usage: dict[str, Any] | None = None
    report_usage: bool = True
    status: int = 200
    message: str = ""
    code: str = ""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    delay: float = 0.0
    stall: float = 0.0
    """Seconds of silence in the middle of the stream."""
    cut: bool = False
    """Close the connection in the middle of the stream."""
    garbage: bool = False
    """Send something that is no JSON in the middle of the stream."""


def say(text: str, **more: Any) -> Turn:
    return Turn(text=text, **more)


def call(*calls: tuple[str, str], **more: Any) -> Turn:
    """Tool calls: (name, arguments as JSON text, however malformed)."""
    return Turn(tool_calls=list(calls), finish="tool_calls", **more)


def fail(status: int, message: str = "no", *, retry_after: float | None = None, code: str = "") -> Turn:
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return Turn(status=status, message=message, headers=headers, code=code)


Script = Iterable[Turn] | Callable[[dict[str, Any]], Turn]


class FakeOpenAI:
    """Serves ``/v1/chat/completions`` on a free port while the block lasts; the last turn of a list repeats."""

    def __init__(self, script: Script) -> None:
        self._answer = script if callable(script) else _Played(list(script))
        self._lock = threading.Lock()
        self.requests: list[dict[str, Any]] = []
        """Bodies in order, each with the ``headers`` and the time ``at`` which it arrived."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with fake._lock:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    fake.requests.append({**body, "headers": headers, "at": time.monotonic()})
                    turn = fake._answer(body)
                try:
                    fake._play(self, turn, body)
                except OSError:  # the client has had enough
                    self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> FakeOpenAI:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _play(self, http: BaseHTTPRequestHandler, turn: Turn, body: dict[str, Any]) -> None:
        time.sleep(turn.delay)
        if turn.status != 200:
            self._send_error(http, turn)
            return
        http.send_response(200)
        http.send_header("Content-Type", "text/event-stream")
        http.send_header("Transfer-Encoding", "chunked")
        http.end_headers()

        def event(data: Any) -> None:
            line = f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()
            http.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            http.wfile.flush()

        frame = {"id": "fake", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}

        def delta(finish: str | None = None, **change: Any) -> None:
            event({**frame, "choices": [{"index": 0, "delta": change, "finish_reason": finish}]})

        half = len(turn.text) // 2
        delta(role="assistant", content=turn.text[:half])
        if turn.stall:
            time.sleep(turn.stall)
        if turn.garbage:
            event('{"id": "fa')
        if turn.cut:
            http.close_connection = True
            return
        delta(content=turn.text[half:])
        if turn.refusal:
            delta(refusal=turn.refusal)
        for index, (name, arguments) in enumerate(turn.tool_calls):
            piece = {"index": index, "id": f"call_{index}", "type": "function"}
            delta(tool_calls=[{**piece, "function": {"name": name, "arguments": ""}}])
            delta(tool_calls=[{"index": index, "function": {"arguments": arguments}}])
        if turn.finish is not None:
            delta(turn.finish)
            if turn.report_usage:
                event({**frame, "choices": [], "usage": turn.usage or _usage(turn, body)})
            event("[DONE]")
        http.wfile.write(b"0\r\n\r\n")

    @staticmethod
    def _send_error(http: BaseHTTPRequestHandler, turn: Turn) -> None:
        body = json.dumps({"error": {"message": turn.message, "type": "fake", "code": turn.code}}).encode()
        http.send_response(turn.status)
        for name, value in turn.headers.items():
            http.send_header(name, value)
        http.send_header("Content-Type", "application/json")
        http.send_header("Content-Length", str(len(body)))
        http.end_headers()
        http.wfile.write(body)


class _Played:
    def __init__(self, turns: list[Turn]) -> None:
        self._turns = turns

    def __call__(self, _body: dict[str, Any]) -> Turn:
        return self._turns.pop(0) if len(self._turns) > 1 else self._turns[0]


def _usage(turn: Turn, body: dict[str, Any]) -> dict[str, Any]:
    prompt = len(json.dumps(body["messages"])) // 4
    reply = (len(turn.text) + sum(len(arguments) for _, arguments in turn.tool_calls)) // 4 + 1
    return {"prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": prompt + reply}
