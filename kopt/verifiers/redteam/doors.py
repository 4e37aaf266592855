"""Open doors on this machine that no candidate may knock on: sockets of every kind, watched by the host."""

from __future__ import annotations

import contextlib
import secrets
import socket
from pathlib import Path


class Doors:
    """Listeners on loopback, in the abstract name space and at a path; ``names`` are the marks attacks know them by."""

    def __init__(self, folder: Path, token: str) -> None:
        self._open: dict[str, socket.socket] = {}
        self.names = {
            "@ABSTRACT@": f"kopt-{token}",
            "@SOCKET@": str(folder / f"redteam-{secrets.token_hex(4)}.socket"),
        }
        self._listen("tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        self._listen("udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        self._listen("abstract stream", socket.AF_UNIX, socket.SOCK_STREAM, f"\0kopt-{token}")
        self._listen("abstract datagram", socket.AF_UNIX, socket.SOCK_DGRAM, f"\0kopt-{token}-d")
        self._listen("path", socket.AF_UNIX, socket.SOCK_DGRAM, self.names["@SOCKET@"])
        for kind in ("tcp", "udp"):
            self.names[f"@{kind.upper()}_PORT@"] = str(self._open[kind].getsockname()[1])
        port = int(token[:4], 16) + 70000
        self.names["@VSOCK_PORT@"] = str(port)
        if hasattr(socket, "AF_VSOCK"):
            with contextlib.suppress(OSError):  # no such device on most machines
                self._listen("vsock", socket.AF_VSOCK, socket.SOCK_STREAM, (socket.VMADDR_CID_ANY, port))

    def _listen(
        self, kind: str, family: int, style: int, address: str | tuple[str, int] | tuple[int, int]
    ) -> None:
        one = socket.socket(family, style)
        try:
            one.bind(address)
            if style == socket.SOCK_STREAM:
                one.listen(8)
            one.setblocking(False)
        except OSError:
            one.close()
            raise
        self._open[kind] = one

    def knocked(self) -> str:
        """The kind of a door somebody came to; empty when nobody did."""
        for kind, one in self._open.items():
            with contextlib.suppress(BlockingIOError):
                if one.type == socket.SOCK_STREAM:
                    one.accept()[0].close()
                else:
                    one.recv(64)
                return kind
        return ""

    def close(self) -> None:
        """Close all of them."""
        for one in self._open.values():
            one.close()
        Path(self.names["@SOCKET@"]).unlink(missing_ok=True)
