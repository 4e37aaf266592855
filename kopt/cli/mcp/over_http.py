"""The MCP server over streamable HTTP, for those who hold its token."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import ipaddress
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from kopt.cli.mcp.server import build, on_signals
from kopt.errors import UsageError
from kopt.rl.service.jobs import Service

LOOPBACK = "127.0.0.1"
LEAST_TOKEN = 16
MOST_BODY = 4 << 20
PATH = "/mcp"


class Bearer:
    """Lets requests with the one right bearer token through; all others get status 401."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = _digest(token.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and self._allows(scope)):
            await self._app(scope, receive, send)
            return
        refusal = JSONResponse(
            {"error": "give the server's token as Authorization: Bearer TOKEN"},
            status_code=401,
            headers={"WWW-Authenticate": "Bearer"},
        )
        await refusal(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, token = (given[0] if len(given) == 1 else b"").partition(b" ")
        # Digests are of one length, and comparing them takes the same time wherever they differ.
        right = hmac.compare_digest(_digest(token.strip()), self._token)
        return right and scheme.lower() == b"bearer"


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def parse_address(text: str) -> tuple[str, int]:
    """``HOST:PORT``, ``:PORT`` or ``PORT``; loopback where no host is given.

    Raises:
        UsageError: it is none of these.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or LOOPBACK
    if not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--http {text}: write it as HOST:PORT or PORT, for example --http 8765")
    return host, int(port)


def read_token(path: Path) -> str:
    """The token in a file.

    Raises:
        UsageError: it cannot be read or holds none.
    """
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise UsageError(
            f"{path} cannot be read as a token; write at least {LEAST_TOKEN} letters into it"
        ) from None
    if len(token) < LEAST_TOKEN or not token.isprintable() or " " in token:
        raise UsageError(f"{path}: a token is one word of at least {LEAST_TOKEN} letters")
    return token


def new_token() -> str:
    """A token nobody can guess."""
    return secrets.token_urlsafe(32)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        UsageError: the address cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --http"
        ) from None


def url_of(listening: socket.socket) -> str:
    """Where clients find the server."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}{PATH}" if ":" in host else f"http://{host}:{port}{PATH}"


def is_loopback(listening: socket.socket) -> bool:
    """Whether only this machine can reach it."""
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled by :func:`on_signals`."""
        yield


async def serve_http(
    service: Service, listening: socket.socket, token: str, ready: Callable[[], None]
) -> None:
    """Serve clients until this process is asked to end; ``ready`` is called when they can come."""
    async with service:
        host = LOOPBACK if is_loopback(listening) else listening.getsockname()[0]
        app = build(service).streamable_http_app(
            streamable_http_path=PATH, stateless_http=True, max_request_body_size=MOST_BODY, host=host
        )
        config = uvicorn.Config(
            Bearer(app, token), log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        server = _Uvicorn(config)

        def end() -> None:
            server.should_exit = True

        on_signals(end)
        ready()
        await server.serve(sockets=[listening])
