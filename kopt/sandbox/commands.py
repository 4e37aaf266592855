"""Run a command on files, each time in a confined process of its own with a scratch of its own.

What is known afterwards is known from the kernel: that the process and all it started are gone, when, with which
status, and what lies in the file that was its standard output. The clock runs from asking for the program to its end.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from kopt.sandbox.buffers import first_bytes, memory_file
from kopt.sandbox.errors import RunnerCrashed, RunnerError, RunnerTimedOut
from kopt.sandbox.handle import RunnerHandle
from kopt.sandbox.limits import Limits, Role
from kopt.sandbox.session import Sandbox

MOST_OUTPUT = 64 << 20
_TAIL = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Place:
    """What lies in a command's working directory: files, written over what a build left there."""

    files: Mapping[str, str]
    built: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A command that came to an end, or was ended.

    ``seconds``: by the judge's clock, until everything was gone. ``status`` is the exit status, None where a signal
    or the judge ended it; ``stopped`` then says what. ``output`` is what it wrote, ``tail`` the end of its errors.
    """

    seconds: float
    status: int | None
    output: bytes
    tail: str
    stopped: str = ""
    timed_out: bool = False


def build(sandbox: Sandbox, place: Place, command: str, seconds: float) -> tuple[bytes | None, str]:
    """The directory after ``command`` as an opaque archive, None where it failed; and what it printed."""
    with memory_file(b"", "built") as fd, sandbox.spawn(Role.PROGRAM, _limits(sandbox)) as runner:
        try:
            _put(runner, place)
            body = {"command": command, "seconds": seconds}
            answer = runner.request("build", body, timeout=seconds + 10.0, fds=[fd])
        except RunnerError as error:
            return None, str(error)
        log, built = str(answer.get("log") or "")[:8000], answer.get("built") is True
        if built and os.fstat(fd).st_size > MOST_OUTPUT:
            over = f"error: the build leaves more than {MOST_OUTPUT >> 20} MiB"
            return None, f"{over}; let it remove what the program does not need"
        return (_read(fd) or None) if built else None, log


def run(sandbox: Sandbox, place: Place, command: str, data: bytes, seconds: float) -> Ran:
    """Run ``command`` with ``data`` as its standard input, for at most ``seconds``.

    Raises:
        RunnerError: it could not be started: its files cannot be placed, or there is no such program.
    """
    with ExitStack() as keep:
        runner = keep.enter_context(sandbox.spawn(Role.PROGRAM, _limits(sandbox)))
        _put(runner, place)
        given = keep.enter_context(memory_file(data, "input"))
        written = keep.enter_context(memory_file(b"", "output"))
        try:
            took, status = runner.become({"command": command}, timeout=seconds, fds=[given, written])
        except RunnerTimedOut:
            return Ran(
                seconds=seconds,
                status=None,
                output=b"",
                tail=runner.output.tail(_TAIL),
                stopped=f"no end within {seconds:g} s",
                timed_out=True,
            )
        runner.kill()  # releases its output: all of it is there now
        detail, number = RunnerCrashed.describe(status)
        ended = status is not None and number is None
        return Ran(
            seconds=took,
            status=(status or 0) >> 8 & 0xFF if ended else None,
            output=_read(written),
            tail=runner.output.tail(_TAIL),
            stopped="" if ended else detail.replace("the runner", "the program"),
        )


def _put(runner: RunnerHandle, place: Place) -> None:
    body = {"files": dict(place.files)}
    if place.built is None:
        runner.request("place", body)
        return
    with memory_file(place.built, "built") as fd:
        runner.request("place", body, fds=[fd])


def _limits(sandbox: Sandbox) -> Limits:
    return Limits(memory_bytes=sandbox.settings.memory_bytes, file_bytes=256 << 20, output_bytes=1 << 18)


def _read(fd: int) -> bytes:
    """What lies in a file in memory; of more than is allowed, the beginning: it equals nothing that is expected."""
    return first_bytes(fd, min(os.fstat(fd).st_size, MOST_OUTPUT))
