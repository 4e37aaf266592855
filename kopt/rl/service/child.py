"""The service's hold on its worker process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from kopt.errors import KoptError

_MOST_LINE = 4 << 20
GRACE_SECONDS = 1.5
"""For the worker to end what it started; clients of a stdio server wait two seconds before they kill it."""


class WorkerEnded(KoptError):
    """The worker is gone before it had answered."""


class Worker:
    """A running worker. Ask it one thing at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, sandbox: str, policy: str, problems: Mapping[str, str]) -> Worker:
        """Start one that knows these problems (name -> path) besides those shipped.

        It is ready at once and loads what it needs with the first request.
        """
        # -P: not from the current directory, which may be a checkout with links named like public packages.
        command = [
            sys.executable,
            "-P",
            "-m",
            "kopt.rl.service.worker",
            sandbox,
            policy,
            json.dumps(dict(problems)),
        ]
        pipe = asyncio.subprocess.PIPE
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=_MOST_LINE))

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.returncode is None

    async def ask(
        self, request: Mapping[str, Any], observe: Callable[[Mapping[str, Any]], None]
    ) -> Mapping[str, Any]:
        """Send a request, hand on what happens meanwhile, return the reply that holds ``result`` or ``error``.

        Raises:
            WorkerEnded: it died or was stopped.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            await self._process.stdin.drain()
        while line := await self._process.stdout.readline():
            reply: dict[str, Any] = json.loads(line)
            if "result" in reply or "error" in reply:
                return reply
            observe(reply)
        raise WorkerEnded("the process that judges has ended; ask again, and report it if it happens twice")

    def stop(self) -> None:
        """Ask it to give up what it does and to end; :meth:`ask` then raises."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    async def end(self, grace: float = GRACE_SECONDS) -> None:
        """Make it end, with everything it started."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self.stop()
        try:
            async with asyncio.timeout(grace):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
