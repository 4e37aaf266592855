"""Open a sandbox, spawn runners in it, close it: the public face of this room."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import threading
from collections import Counter
from concurrent.futures import Future
from dataclasses import asdict, replace
from typing import Any

from kopt.errors import SandboxUnavailable
from kopt.sandbox import bytecode, places, remains, seccomp
from kopt.sandbox.ahead import Ahead
from kopt.sandbox.backend import Backend
from kopt.sandbox.bubblewrap import Bubblewrap
from kopt.sandbox.builder import Builder
from kopt.sandbox.cgroups import ControlGroups, Group
from kopt.sandbox.greeting import GREETED_WITHIN, Greeting, receive
from kopt.sandbox.handle import RunnerHandle
from kopt.sandbox.limits import Limits, Role
from kopt.sandbox.output import OutputDrain
from kopt.sandbox.report import IsolationReport
from kopt.sandbox.runner.programs import EARLY
from kopt.sandbox.unconfined import Unconfined
from kopt.sandbox.zygote import MALLOC, READY_WITHIN, ZygoteProcess, environment
from kopt.settings import Settings
from kopt.settings import settings as default_settings
from kopt.words import Candidate

_MISSING = {
    "seccomp": "the whole system call surface is open to candidates",
    "landlock": "only the mounts keep candidates from writing outside their scratch",
    "memory": "a memory bomb is held by address space limits only",
    "pids": "a fork bomb is held by a per-user limit only, and not at all for root",
}


def open_sandbox(kind: str | Sandbox = "auto", *, settings: Settings | None = None) -> Sandbox:
    """Open a sandbox: ``bubblewrap`` and ``docker`` isolate or fail, ``none`` protects from nothing.

    ``auto`` is bubblewrap, which needs no daemon. One that is open is returned as it is. Returns before the zygote
    is ready; :meth:`Sandbox.spawn` waits for it.

    Raises:
        SandboxUnavailable: this machine cannot isolate; the message says what to do.
    """
    if isinstance(kind, Sandbox):
        return kind
    settings = settings or default_settings()
    return Sandbox(_backend(kind, settings), settings)


def _backend(kind: str, settings: Settings) -> Backend:
    if kind in ("auto", "bubblewrap"):
        return Bubblewrap()
    if kind == "docker":
        from kopt.sandbox.container import Docker

        return Docker(settings)
    if kind == "none":
        return Unconfined()
    raise SandboxUnavailable(f"unknown sandbox {kind!r}: use auto, bubblewrap, docker or none")


class Sandbox:
    """One zygote and the runners forked from it. A context manager; closing kills everything."""

    def __init__(self, backend: Backend, settings: Settings) -> None:
        self.settings = settings
        self.backend = backend
        self.report = IsolationReport(backend.name)
        self._cores = sorted(os.sched_getaffinity(0))
        self.threads = settings.threads or len(self._cores)
        self._numbers = itertools.count(1)
        self._handles: set[RunnerHandle] = set()
        self._closed = False
        self._starting = threading.Lock()
        self._filter, self._no_filter = seccomp.program()
        self._groups = ControlGroups()
        self._drain = OutputDrain()
        self._zygote: ZygoteProcess | None = None
        self._ahead: Ahead | None = None
        try:
            self.builder = Builder(self, settings)
            self._zygote = self._start()
        except BaseException:
            self.close()
            raise
        self._describe()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _describe(self) -> None:
        report = self.report
        self.backend.describe(report)
        if not self.backend.isolated:
            return
        if self._filter:
            report.layers["seccomp"] = True
        else:
            report.lack("seccomp", f"{_MISSING['seccomp']}: {self._no_filter}")
        for ceiling in ("memory", "pids"):
            if ceiling in self._groups.active:
                report.layers[f"{ceiling} ceiling"] = self._groups.active[ceiling]
            elif f"{ceiling} ceiling" not in report.layers:  # the back end may have one around all runners
                report.lack(f"{ceiling} ceiling", _MISSING[ceiling])

    def _start(self) -> ZygoteProcess:
        bytecode.prepare()
        headers = self.builder.headers
        variables = environment(self.threads, self.backend.scratch, places.search_path())
        zygote = ZygoteProcess(self.backend.start(variables, headers))
        zygote.configure(
            self.backend.config(headers)
            | {
                "isolate": self.backend.isolated,
                "threads": self.threads,
                "seccomp": self._filter.hex() if self.backend.isolated else "",
            }
        )
        return zygote

    def _ready(self) -> ZygoteProcess:
        with self._starting:
            return self._ready_alone()

    def _current(self) -> ZygoteProcess:
        """The zygote, ready or not, where it lives: it forks what needs no torch before it imports that."""
        zygote = self._zygote
        return zygote if zygote is not None and zygote.alive and not self._closed else self._ready()

    def _ready_alone(self) -> ZygoteProcess:
        """The zygote, started again if it died, and with fewer layers where this machine refuses one."""
        if self._closed:
            raise SandboxUnavailable("this sandbox is closed")
        zygote = self._zygote
        if zygote is None or (zygote.ready and not zygote.alive):
            if zygote is not None:
                zygote.close()
            zygote = self._zygote = self._start()
        try:
            zygote.wait_ready()
        except SandboxUnavailable:
            if not self.backend.relax(self.report):
                raise
            zygote = self._zygote = self._start()
            zygote.wait_ready()
        return zygote

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, threads and settings that timings depend on: the same for every runner."""
        from kopt.sandbox.devices import cpu_facts

        facts = dict(self._ready().facts)
        for noise in ("zygote_seconds", "threads_at_fork"):
            facts.pop(noise, None)
        cpu = cpu_facts()
        return facts | {
            "compiler": self.builder.compiler,
            "cpu": cpu["model"],
            "isa": cpu["isa"],
            "caches": cpu["caches"],
            "cores": len(self._cores),
            "threads": self.threads,
            "malloc": MALLOC,
        }

    def expect(self, candidate: Candidate) -> None:
        """Begin in the background what evaluating this candidate first, with full effort, will need."""
        if self._ahead is None and not self._closed:
            self._ahead = Ahead(self, candidate)

    def compiler(self) -> Future[RunnerHandle] | None:
        """A runner that :meth:`expect` has begun, for a reference to compile in; given away once."""
        return self._ahead.compiler() if self._ahead is not None else None

    def spawn(self, role: Role, limits: Limits | None = None, *, compiling: bool = False) -> RunnerHandle:
        """Fork a confined runner; one for ``compiling`` has imported what ``torch.compile`` needs.

        Raises:
            SandboxUnavailable: none could be started.
        """
        limits = limits or Limits(memory_bytes=self.settings.memory_bytes)
        for attempt in (1, 2):
            early = attempt == 1 and (role in EARLY or compiling)
            zygote = self._current() if early else self._ready()
            handle = self._try_spawn(zygote, Role(role), limits, last=attempt == 2, compiling=compiling)
            if handle is not None:
                return handle
            zygote.close()
        raise SandboxUnavailable("the zygote ended while starting a runner")

    def _try_spawn(
        self, zygote: ZygoteProcess, role: Role, limits: Limits, *, last: bool, compiling: bool
    ) -> RunnerHandle | None:
        identity = next(self._numbers)
        ours, theirs = socket.socketpair()
        # Our end asks for credentials: the kernel writes the sender's pid as this process knows it.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        output = self._drain.open(limits.output_bytes)
        # A pool of threads per core must always fit.
        limits = replace(
            limits,
            processes=max(limits.processes, 2 * self.threads + 64),
            memory_bytes=min(limits.memory_bytes, int(0.7 * machine_memory())),
        )
        message: dict[str, Any] = {
            "id": identity,
            "role": role.value,
            "limits": asdict(limits),
            "compiling": compiling,
        }
        scratch = self.backend.make_scratch()
        if scratch:
            message["scratch"] = scratch
        patience = GREETED_WITHIN if zygote.ready and not compiling else READY_WITHIN
        sent = zygote.spawn(message, [theirs.fileno(), output.writer])
        theirs.close()
        os.close(output.writer)
        greeting = receive(ours, patience) if sent else Greeting()
        if greeting.pid is None or greeting.failed:
            ours.close()
            self._drain.forget(output)
            if greeting.failed or last:
                lines = greeting.failed.strip().splitlines()
                raise SandboxUnavailable(
                    f"no runner could be started: {lines[-1] if lines else 'no reason given'}"
                )
            return None
        for layer, holds in greeting.layers.items():
            if holds:
                self.report.layers[layer] = holds
            elif layer in _MISSING:
                self.report.lack(layer, _MISSING[layer])
        group = Group()
        if self.backend.isolated:
            group = self._groups.make(memory_bytes=limits.memory_bytes, processes=limits.processes)
            with contextlib.suppress(OSError):
                group.add(greeting.pid)

        def release(handle: RunnerHandle) -> None:
            self._handles.discard(handle)
            self._drain.forget(output)
            group.close()
            if scratch:
                shutil.rmtree(scratch, ignore_errors=True)

        handle = RunnerHandle(
            role=role,
            pid=greeting.pid,
            link=ours,
            output=output,
            group=group,
            isolated=self.backend.isolated,
            ended=lambda: zygote.exit_status(identity),
            release=release,
        )
        self._handles.add(handle)
        return handle

    def remains(self) -> list[str]:
        """What is left of runners that ended, one line each; needs a runner that lives, to find the zygote by."""
        living = {handle.pid for handle in self._handles}
        zygote = self._zygote_number()
        if not zygote:
            return ["the zygote and all runners are gone"]
        groups = self._groups.count() - len(living)
        return [
            *remains.processes_left(zygote, living),
            *remains.files_left(zygote),
            *([f"{groups} control groups"] if groups > 0 else []),
        ]

    def mounts(self) -> Counter[str]:
        """What is mounted now on this machine and in the zygote, a line each; needs a runner that lives."""
        zygote = remains.mounts(self._zygote_number())
        inside = Counter({f"{line}, in the sandbox": count for line, count in zygote.items()})
        return remains.mounts_of_machine() + inside

    def _zygote_number(self) -> int:
        """The zygote's process, as this one sees it, found by a runner that lives; 0 when there is none."""
        return next(filter(None, (remains.zygote_of(handle.pid) for handle in self._handles)), 0)

    def close(self) -> None:
        """Kill every runner and the zygote, remove what they left. May be called again."""
        if self._closed:
            return
        self._closed = True
        for handle in list(self._handles):
            handle.kill()
        if self._zygote is not None:
            self._zygote.close()
        self._drain.close()
        if self._ahead is not None:
            self._ahead.close()
        self._groups.close()
        self.backend.close()


def machine_memory() -> int:
    """Bytes of memory this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
