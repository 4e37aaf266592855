"""The judge's end of the zygote: start it, ask it for runners, hear how they ended."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kopt.errors import SandboxUnavailable
from kopt.sandbox.backend import Launched
from kopt.sandbox.errors import ProtocolViolation
from kopt.sandbox.messages import parse

_LONGEST = 1 << 20
READY_WITHIN = 120.0
"""Seconds a zygote may take to import what runners need."""
_SLICE = 0.1  # seconds after which whoever waits sees what another heard
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from kopt_runner.zygote import main; main(sys.argv[2])"


def python_command(runner_path: str, control: str) -> list[str]:
    """How the zygote's interpreter is started: isolated from its environment, writing no bytecode.

    ``control`` is the number of an inherited descriptor, or the path of a socket to connect to.
    """
    return [sys.executable, "-I", "-B", "-c", _BOOT, runner_path, control]


def environment(threads: int, scratch: str, path: str) -> dict[str, str]:
    """All a runner finds in its environment: the same for every role."""
    return {
        "PATH": path,
        "HOME": scratch,
        "TMPDIR": scratch,
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": str(threads),
        # Each worker on a core of its own: two of them on one core wait for each other by time slices.
        "OMP_PROC_BIND": "true",
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": "1",  # numpy's would start threads on import, before the fork
        # An allocator that keeps its pages: large outputs are reused, not mapped and faulted in again.
        "GLIBC_TUNABLES": MALLOC,
        "TORCHINDUCTOR_CACHE_DIR": f"{scratch}/inductor",
        "TRITON_CACHE_DIR": f"{scratch}/triton",
        "TORCH_EXTENSIONS_DIR": f"{scratch}/extensions",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        # Every reference compiles in a scratch of its own: Inductor's trial builds for each instruction set
        # and its compiled headers cost 6 s of processor time there and change nothing in the code it
        # generates.
        "TORCHINDUCTOR_VEC_ISA_OK": "1",
        "TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }


# Measured in a runner, sigmoid of 32 MB: 1.1 ms and no fault once warm. What is touched first cost
# 1.6 ms per MB in small pages and 0.03 in huge ones, which glibc asks for with hugetlb=1.
MALLOC = ":".join(
    [
        "glibc.malloc.mmap_max=0",
        "glibc.malloc.trim_threshold=1099511627776",
        "glibc.malloc.top_pad=67108864",
        "glibc.malloc.hugetlb=1",
    ]
)


class Events:
    """What the zygote has told so far. No candidate can reach its socket; nothing here depends on that."""

    def __init__(self) -> None:
        self.ready = False
        self.facts: dict[str, Any] = {}
        self.exits: dict[int, int | None] = {}
        self._buffer = b""

    def feed(self, data: bytes) -> bool:
        """Take in bytes; false when no zygote would say them."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > _LONGEST or any(len(line) > _LONGEST for line in lines):
            return False
        try:
            for line in lines:
                self._note(parse(line))
        except ProtocolViolation:
            return False
        return True

    def _note(self, message: Mapping[str, Any]) -> None:
        facts, number, status = message.get("facts"), message.get("id"), message.get("status")
        if message.get("event") == "ready" and isinstance(facts, dict):
            self.ready, self.facts = True, facts | {"zygote_seconds": message.get("seconds")}
        elif message.get("event") == "exit" and isinstance(number, int):
            self.exits[number] = status if isinstance(status, int) else None


class ZygoteProcess:
    """One zygote, from start to end. Starting takes seconds: construct early, ``wait_ready`` late."""

    def __init__(self, launched: Launched) -> None:
        self.process = launched
        self._socket = launched.control
        self._events = Events()
        self._lock = threading.Lock()

    def configure(self, config: Mapping[str, Any]) -> None:
        """Send the zygote its configuration."""
        with contextlib.suppress(OSError):  # a launcher that failed at once: wait_ready tells why
            self._socket.sendall(json.dumps(config).encode() + b"\n")

    def _pending(self, timeout: float = 0.0) -> bool:
        """Whether the zygote said something, or is gone, before ``timeout`` seconds passed."""
        if self._socket.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        return bool(poll.poll(max(0.0, timeout) * 1000))

    def _hear(self, timeout: float) -> bool:
        """Take in what the zygote says; false when it is gone."""
        if not self._pending(timeout):
            return True
        try:
            data = self._socket.recv(1 << 16)
        except OSError:
            return False
        return bool(data) and self._events.feed(data)

    def wait_ready(self, timeout: float = READY_WITHIN) -> None:
        """Wait until runners can be forked.

        Raises:
            SandboxUnavailable: it ended or took too long.
        """
        deadline = time.monotonic() + timeout
        while not self.ready:
            self._pending(_SLICE)  # without the lock: builders are asked for meanwhile
            with self._lock:
                heard = self.ready or self._hear(0.0)
            if not heard or time.monotonic() > deadline:
                lines = self.process.words().splitlines()
                self.close()
                raise SandboxUnavailable(
                    f"the sandbox did not start: {lines[-1] if lines else 'no reason given'}"
                )

    def spawn(self, message: Mapping[str, Any], fds: Sequence[int]) -> bool:
        """Ask for a runner; false when the zygote is gone."""
        with self._lock:
            # What it said so far: left in the socket, the ends of some hundred runners would fill it and
            # the zygote would wait for ever for room to say more.
            while self._pending():
                if not self._hear(0.0):
                    return False
            try:
                socket.send_fds(self._socket, [json.dumps(message).encode() + b"\n"], list(fds))
            except OSError:
                return False
            return True

    def exit_status(self, identity: int, timeout: float = 2.0) -> int | None:
        """The wait status of a runner that ended, where the zygote has told."""
        deadline = time.monotonic() + timeout
        with self._lock:
            while identity not in self._events.exits and time.monotonic() < deadline:
                if not self._hear(deadline - time.monotonic()):
                    break
            return self._events.exits.pop(identity, None)

    @property
    def ready(self) -> bool:
        """Whether it said that runners can be forked."""
        return self._events.ready

    @property
    def facts(self) -> dict[str, Any]:
        """Versions and settings, as the zygote found them."""
        return self._events.facts

    @property
    def alive(self) -> bool:
        """Whether its process tree still stands."""
        return self.process.alive

    def close(self) -> None:
        """Kill it and all runners; returns when they are gone."""
        self.process.end()
