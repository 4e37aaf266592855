"""Run a candidate's sanitized program once, on given contents, and take what it printed.

What it prints is a hint that can only speak against the candidate: one that wants to hide something can, and gains
nothing that it would not have without the sanitizer.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kopt.sandbox import processes
from kopt.sandbox.buffers import memory_file
from kopt.sandbox.errors import RunnerCrashed, RunnerError, RunnerTimedOut
from kopt.sandbox.limits import Limits, Role
from kopt.sandbox.session import Sandbox, machine_memory

_LOOK = 0.02
_TEXT = 1 << 18


@dataclass(frozen=True)
class SanitizedRun:
    """What a program printed, and why it did not come to its end: empty when it did, or ended with a finding."""

    text: str
    stopped: str = ""


def run(
    sandbox: Sandbox,
    program: bytes,
    tensors: Sequence[Mapping[str, Any]],
    files: Sequence[int],
    *,
    seconds: float,
    shared_bytes: int,
    fill: int = 255,
) -> SanitizedRun:
    """Run ``program`` (from :meth:`kopt.sandbox.Builder.build` with a sanitizer) in a confined process of its own.

    Args:
        sandbox: where.
        program: the executable.
        tensors: the arguments in call order: ``name``, ``dtype``, ``shape``, ``strides`` (elements), ``role``, and
            where its bytes lie: ``file`` (index into ``files``), ``offset``, ``nbytes``. Outputs are written back.
        files: descriptors of memory shared by the judge.
        seconds: the most it may take.
        shared_bytes: size of that memory together.
        fill: the byte that fresh heap memory is filled with (AddressSanitizer only).
    """
    limits = Limits(
        memory_bytes=min(sandbox.settings.memory_bytes, int(0.7 * machine_memory())),
        shared_bytes=shared_bytes,
        output_bytes=_TEXT,
        shadow=True,
    )
    with memory_file(program, "program") as fd, sandbox.spawn(Role.BUILDER, limits) as runner:
        watch = _Watch(runner.pid, limits.memory_bytes + 2 * shared_bytes, runner.kill)
        stopped = ""
        try:
            body = {"tensors": list(tensors), "fill": fill}
            runner.request("become", body, timeout=seconds, fds=[fd, *files])
        except RunnerCrashed as error:
            if error.signal is not None:
                stopped = error.detail
        except RunnerTimedOut:
            stopped = f"it took longer than {seconds:g} s"
        except RunnerError as error:
            stopped = str(error).splitlines()[0][:200] if str(error) else "it did not start"
        finally:
            watch.end()
    if watch.exceeded:
        stopped = "it needs more memory than is allowed"
    return SanitizedRun(runner.output.tail(_TEXT), stopped)


class _Watch:
    """Kills a family of processes whose resident memory passes a ceiling: address space has none here."""

    def __init__(self, pid: int, ceiling: int, kill: Any) -> None:
        self.exceeded = False
        self._pid, self._ceiling, self._kill = pid, ceiling, kill
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="kopt-resident", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(_LOOK):
            if sum(map(_resident, processes.descendants(self._pid))) > self._ceiling:
                self.exceeded = True
                self._kill()
                return

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()
        self._thread.join()


def _resident(pid: int) -> int:
    """Resident bytes of a process, 0 when it is gone."""
    with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
