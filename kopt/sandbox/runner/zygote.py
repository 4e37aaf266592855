"""The zygote: imports torch once, then forks a confined runner for every request of the judge.

It reads its configuration from the control socket, says when it is ready, and afterwards answers each
``spawn`` with ``forked`` and, when that runner is gone, ``exit`` with its wait status. It starts no thread
and calls nothing that would: a fork of a process with threads is broken.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from typing import Any

from . import collector, inductor, jail, programs, system

_EARLY = 0.02  # seconds in which a judge that has just started this process asks for what it will need first


class Zygote:
    """The fork server behind one control socket."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.buffer = bytearray()
        self.fds: list[int] = []
        self.config: dict[str, Any] = {}
        self.children: dict[int, int] = {}
        self.waiting: list[dict[str, Any]] = []
        self.compiling: list[dict[str, Any]] = []
        self.cores = sorted(os.sched_getaffinity(0))  # before OpenMP binds this thread to the first of them

    def receive(self) -> dict[str, Any] | None:
        """Read one line of JSON and the descriptors that came with it; None at the end."""
        while b"\n" not in self.buffer:
            data, fds, _, _ = socket.recv_fds(self.control, 1 << 16, 4)
            if not data:
                return None
            self.buffer += data
            self.fds += fds
        line, _, rest = bytes(self.buffer).partition(b"\n")
        self.buffer = bytearray(rest)
        message: dict[str, Any] = json.loads(line)
        if "role" in message:
            message["fds"], self.fds = self.fds[:2], self.fds[2:]
        return message

    def say(self, **message: Any) -> None:
        """Send one line of JSON to the judge."""
        self.control.sendall(json.dumps(message).encode() + b"\n")

    def prepare(self) -> dict[str, Any]:
        """Import and warm what every runner needs, without starting a thread."""
        with collector.paused():
            import numpy
            import torch
        for asked in self.compiling:  # they have the longest way to go
            self.spawn(asked)
        with collector.paused():
            import tvm_ffi

            x = torch.arange(8, dtype=torch.float32)
            (x.add(1) * x).sum().item()
            tvm_ffi.from_dlpack(x)
            with inductor.without_triton():  # which counting flops would import
                import torch.utils.flop_counter
            from . import candidate  # noqa: F401 - and all it imports, once for every fork
        return {
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "python": sys.version.split()[0],
            "tvm_ffi": getattr(tvm_ffi, "__version__", ""),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "threads_at_fork": len(os.listdir("/proc/self/task")),  # noqa: PTH208
        }

    def spawn_early(self) -> None:
        """Fork what was asked for already and needs nothing that takes long to import: builds begin at once.

        What is going to compile waits for torch, and for nothing else.
        """
        while not self.waiting and (self.buffer or select.select([self.control], [], [], _EARLY)[0]):
            message = self.receive()
            if message is None:
                return
            if message["role"] in programs.EARLY:
                self.spawn(message)
            else:
                (self.compiling if message["compiling"] else self.waiting).append(message)

    def spawn_buffered(self) -> None:
        """Fork what was asked for in the same breath."""
        while b"\n" in self.buffer:
            self.spawn(self.receive() or {})

    def spawn(self, message: dict[str, Any]) -> None:
        """Fork a runner. Two forks: the first makes the namespaces, the second is pid 1 in them."""
        link, output = message["fds"]
        reader, writer = os.pipe()
        first = os.fork()
        if not first:
            try:
                if self.config["isolate"]:
                    system.unshare(system.CLONE_NEWNS | system.CLONE_NEWPID | system.CLONE_NEWIPC)
                second = os.fork()
                if not second:
                    self.become_runner(message, link, output)
                os.write(writer, str(second).encode())
                os._exit(0)
            except BaseException:
                self.fail(link)
        os.close(writer)
        number = os.read(reader, 32)
        os.close(reader)
        os.close(link)
        os.close(output)
        os.waitpid(first, 0)
        if number:
            self.children[int(number)] = message["id"]
            self.say(event="forked", id=message["id"])
        else:
            self.say(event="exit", id=message["id"], status=None)

    @staticmethod
    def fail(link: int) -> None:
        """Tell the judge why no runner started, and end."""
        with contextlib.suppress(OSError):
            os.write(link, json.dumps({"failed": traceback.format_exc()[-2000:]}).encode() + b"\n")
        os._exit(70)

    def become_runner(self, message: dict[str, Any], link: int, output: int) -> None:
        """In the grandchild: confine, greet, serve, end. Never returns."""
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            os.dup2(output, 1)
            os.dup2(output, 2)
            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, io.TextIOWrapper):
                    stream.reconfigure(line_buffering=True)
            link = os.dup2(link, 3, inheritable=False) if link != 3 else link
            os.closerange(4, 65536)
            self.control.detach()
            role = message["role"]
            masked = [] if role == "reference" else self.config["masked"]
            layers = jail.confine(self.config, message["limits"], masked)
            from . import loop, placement

            link_socket = socket.socket(fileno=link)
            if not self.config["isolate"]:
                os.chdir(message["scratch"])
                os.environ["TMPDIR"] = os.environ["HOME"] = message["scratch"]
            scratch = message.get("scratch") or self.config["scratch"]
            program = programs.make(role, self.config, scratch, compiling=message["compiling"])
            link_socket.sendall(json.dumps({"layers": layers, "pid": os.getpid()}).encode() + b"\n")
        except BaseException:
            self.fail(link)
        status = 0
        try:
            loop.serve(link_socket, program, placement.Placement(self.cores))
        except BaseException:
            traceback.print_exc()
            status = 1
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        os._exit(status)

    def reap(self) -> None:
        """Report runners that ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            identity = self.children.pop(pid, None)
            if identity is not None:
                self.say(event="exit", id=identity, status=status)

    def run(self) -> None:
        """Serve until the judge closes the control socket."""
        started = time.monotonic()
        first = self.receive()
        if first is None:
            return
        self.config = first
        if self.config.get("own_users"):
            system.enter_user_namespace()
        system.prctl(system.PR_SET_CHILD_SUBREAPER, 1)
        self.spawn_early()
        facts = self.prepare()
        wake_reader, wake_writer = os.pipe()
        for fd in (wake_reader, wake_writer):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        self.say(event="ready", seconds=time.monotonic() - started, facts=facts)
        self.reap()  # who ended before anybody was told of it
        for asked in self.waiting:
            self.spawn(asked)
        self.spawn_buffered()
        poll = select.poll()
        poll.register(self.control.fileno(), select.POLLIN)
        poll.register(wake_reader, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == wake_reader:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wake_reader, 4096)
                    self.reap()
                    continue
                message = self.receive()
                if message is None:
                    return
                self.spawn(message)
                self.spawn_buffered()


def main(where: str) -> None:
    """Run the zygote on a control socket: an inherited descriptor's number, or a path to connect to."""
    if where.isdigit():
        control = socket.socket(fileno=int(where))
        os.set_inheritable(control.fileno(), False)
    else:
        control = socket.socket(socket.AF_UNIX)
        control.connect(where)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        Zygote(control).run()
