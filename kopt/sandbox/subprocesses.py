"""A zygote that is a child of the judge: directly, or below the launcher that isolates it."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

from kopt.errors import SandboxUnavailable
from kopt.sandbox import processes


class Child:
    """A launcher process and everything below it. See :class:`~kopt.sandbox.backend.Launched`."""

    def __init__(
        self, command: Callable[[int], Sequence[str]], environment: Mapping[str, str], directory: str
    ) -> None:
        """Start ``command``, which is given the number of the descriptor the zygote inherits.

        Raises:
            SandboxUnavailable: there is no such program.
        """
        self.control, theirs = socket.socketpair()
        self._errors = os.memfd_create("kopt-zygote-errors", os.MFD_CLOEXEC)
        self._closing = threading.Event()
        with theirs:
            fd = theirs.fileno()
            self.process = self._launch(list(command(fd)), fd, dict(environment), directory)

    def _launch(
        self, command: list[str], fd: int, environment: dict[str, str], directory: str
    ) -> subprocess.Popen[bytes]:
        """Start the launcher from a thread that lives as long as it does.

        bubblewrap asks to die with its parent, and to the kernel the parent is the thread that started it.
        """
        outcome: queue.Queue[subprocess.Popen[bytes] | OSError] = queue.Queue()

        def run() -> None:
            try:
                process = subprocess.Popen(
                    command,
                    env=environment,
                    cwd=directory,
                    pass_fds=(fd,),
                    stdin=subprocess.DEVNULL,
                    stdout=self._errors,
                    stderr=self._errors,
                    start_new_session=True,
                )
            except OSError as error:
                outcome.put(error)
                return
            outcome.put(process)
            self._closing.wait()

        threading.Thread(target=run, name="kopt-launcher", daemon=True).start()
        started = outcome.get()
        if isinstance(started, OSError):
            os.close(self._errors)
            self.control.close()
            raise SandboxUnavailable(f"the sandbox cannot be started: {started}")
        return started

    @property
    def pid(self) -> int:
        """The launcher's."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether the launcher still runs."""
        return self.process.poll() is None

    def words(self) -> str:
        """What the zygote and its launcher printed."""
        with contextlib.suppress(OSError):
            return os.pread(self._errors, 2000, 0).decode("utf-8", "replace").strip()
        return ""

    def end(self) -> None:
        """Kill the first process of the namespaces, and so everything in them; returns when all are gone."""
        with contextlib.suppress(OSError):
            self.control.close()
        processes.end_launched(self.process)
        self._closing.set()
        if self._errors >= 0:
            os.close(self._errors)
            self._errors = -1
