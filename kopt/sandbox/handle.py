"""The judge's end of one runner: ask, time a round, freeze, kill. Nothing that comes back is believed."""

from __future__ import annotations

import array
import contextlib
import json
import os
import secrets
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from kopt.sandbox import processes
from kopt.sandbox.buffers import seal_for_candidate
from kopt.sandbox.cgroups import Group
from kopt.sandbox.errors import ProtocolViolation, RunnerCrashed, RunnerError, RunnerRaised, RunnerTimedOut
from kopt.sandbox.limits import Role
from kopt.sandbox.messages import parse
from kopt.sandbox.output import Output
from kopt.sandbox.runner.wire import ANSWER, ASK, FAILED, MAX_REPLY, OK, REQUEST

# What one call may send: the kernel waits for room once per piece.
_PIECE = 1 << 15


def raised(error: Any) -> RunnerRaised:
    """Build the exception from a runner's words, whatever they are."""
    fields = error if isinstance(error, dict) else {"message": str(error)}
    line = fields.get("line")

    def text(name: str, size: int) -> str:
        return str(fields.get(name) or "")[:size]

    return RunnerRaised(
        kind=text("kind", 40) or "exception",
        type=text("type", 200),
        message=text("message", 4000),
        file=text("file", 200),
        line=line if isinstance(line, int) and not isinstance(line, bool) and 0 <= line < 1 << 31 else None,
        trace=text("trace", 4000),
    )


class RunnerHandle:
    """One runner. Made by :meth:`Sandbox.spawn`; not for use by several threads at once."""

    def __init__(
        self,
        *,
        role: Role,
        pid: int,
        link: socket.socket,
        output: Output,
        group: Group,
        isolated: bool,
        ended: Callable[[], int | None],
        release: Callable[[RunnerHandle], None],
    ) -> None:
        self.role, self.pid, self.output, self.group = role, pid, output, group
        self._isolated = isolated
        self._link, self._ended, self._release = link, ended, release
        self._pidfd = os.pidfd_open(pid)
        self._timeout = -1.0
        self._frozen: list[int] = []
        self._lock = threading.Lock()
        self._nonces = b""
        self._open = True
        self.answered = 0  # when the last round was answered, by time.perf_counter_ns
        link.setblocking(True)

    def __enter__(self) -> RunnerHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    @property
    def alive(self) -> bool:
        """Whether the runner's process still runs."""
        return self._open and not processes.wait_gone(self._pidfd, 0)

    def output_tail(self) -> str:
        """The last of what the runner printed, bounded."""
        return self.output.tail()

    def _nonce(self) -> int:
        if not self._nonces:
            self._nonces = secrets.token_bytes(8 * 512)
        nonce, self._nonces = self._nonces[:8], self._nonces[8:]
        return int.from_bytes(nonce, "little")

    def _set_timeout(self, seconds: float) -> None:
        # In the kernel rather than in Python: one system call less in every round.
        if seconds != self._timeout:
            whole = max(seconds, 1e-6)
            value = struct.pack("ll", int(whole), int(whole % 1 * 1e6))
            self._link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
            self._link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)
            self._timeout = seconds

    def _refuse_early_words(self) -> None:
        try:
            early = self._link.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            early = b""
        if early:
            self.kill()
            raise ProtocolViolation("the runner spoke without being asked")
        raise self._crash()

    def _crash(self) -> RunnerCrashed:
        processes.wait_gone(self._pidfd, 2.0) if self._open else None
        status = self._ended()
        detail, number = RunnerCrashed.describe(status)
        if self.group.out_of_memory():
            detail = f"{detail}: out of the memory it was allowed"
        self.kill()
        return RunnerCrashed(detail, signal=number, tail=self.output_tail())

    def _exactly(self, size: int, deadline: float) -> bytes:
        parts, missing = [], size
        while missing:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._set_timeout(left)
            data = self._link.recv(min(missing, 1 << 16))
            if not data:
                raise ConnectionResetError
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def _say(self, data: bytes, fds: Sequence[int], deadline: float) -> None:
        """Send everything before the deadline, however slowly the runner reads; descriptors with the first piece."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        rest = memoryview(data)
        while rest:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._set_timeout(left)
            sent = self._link.sendmsg([rest[:_PIECE]], ancillary)
            rest, ancillary = rest[sent:], []

    def request(
        self, op: str, body: dict[str, Any] | None = None, *, timeout: float = 60.0, fds: Sequence[int] = ()
    ) -> dict[str, Any]:
        """Ask for something and wait for the answer.

        Raises:
            RunnerRaised: the runner answered that it failed.
            RunnerCrashed, RunnerTimedOut, ProtocolViolation: the runner is gone.
        """
        if not self._open:
            raise RunnerCrashed("the runner has been killed", tail=self.output_tail())
        if self.role is Role.CANDIDATE:
            for fd in fds:
                seal_for_candidate(fd)
        data = json.dumps({"op": op, "body": body or {}}).encode()
        nonce, deadline = self._nonce(), time.monotonic() + timeout
        self._refuse_early_words()
        try:
            self._say(ASK.pack(REQUEST, len(data), nonce), (), deadline)
            self._say(data, fds, deadline)
            echoed, status, length = ANSWER.unpack(self._exactly(ANSWER.size, deadline))
            if echoed != nonce or status != OK or not 0 < length <= MAX_REPLY:
                raise ProtocolViolation(f"{op}: the runner's answer has a false header")
            reply = parse(self._exactly(length, deadline))
        except (TimeoutError, BlockingIOError):
            self.kill()
            raise RunnerTimedOut(op, timeout, tail=self.output_tail()) from None
        except ProtocolViolation:
            self.kill()
            raise
        except OSError:
            raise self._crash() from None
        if reply.get("ok") is True:
            result = reply.get("result")
            return result if isinstance(result, dict) else {}
        raise raised(reply.get("error"))

    def round(self, start: int, count: int, *, timeout: float = 60.0) -> float:
        """Have slots ``start`` .. ``start + count - 1`` called; seconds from asking to the answer.

        ``count`` 0 is the empty round. A frozen runner is let go when the clock runs. Raises what
        :meth:`request` raises; after a call that failed, its details.
        """
        if not self._open:
            raise RunnerCrashed("the runner has been killed", tail=self.output_tail())
        nonce = self._nonce()
        message = ASK.pack(start, count, nonce)
        self._refuse_early_words()
        self._set_timeout(timeout)
        send, receive = self._link.send, self._link.recv
        try:
            begin = time.perf_counter_ns()
            send(message)
            if self._frozen:  # only now: what moves before the clock runs would have its work for nothing
                self.thaw()
            answer = receive(16)
            end = self.answered = time.perf_counter_ns()
            if len(answer) != ANSWER.size:
                if not answer:
                    raise ConnectionResetError
                raise ProtocolViolation("the runner's answer is cut short")
            echoed, status, length = ANSWER.unpack(answer)
            if echoed != nonce or length or status not in (OK, FAILED):
                raise ProtocolViolation("the runner's answer to a round is false")
        except (TimeoutError, BlockingIOError):
            self.kill()
            raise RunnerTimedOut("round", timeout, tail=self.output_tail()) from None
        except ProtocolViolation:
            self.kill()
            raise
        except OSError:
            raise self._crash() from None
        if status == FAILED:
            raise raised(self.request("error", timeout=min(timeout, 10.0)).get("error"))
        return (end - begin) * 1e-9

    def become(self, body: dict[str, Any], *, timeout: float, fds: Sequence[int]) -> tuple[float, int | None]:
        """Have the runner replace itself by a program, and wait until that and all it has started are gone.

        The runner is the first process of its namespace: the kernel ends what it leaves behind before it tells of its
        end. Nothing the program says is heard. Returns the seconds from asking to the end, and the wait status.

        Raises:
            RunnerRaised: there is no such program.
            RunnerTimedOut: it was still running; it has been killed.
            ProtocolViolation: something that no honest runner sends came instead of the program.
        """
        data = json.dumps({"op": "become", "body": body}).encode()
        nonce, begin = self._nonce(), time.monotonic()
        deadline = begin + timeout
        self._refuse_early_words()
        try:
            self._say(ASK.pack(REQUEST, len(data), nonce), (), deadline)
            self._say(data, fds, deadline)
            self._set_timeout(max(deadline - time.monotonic(), 1e-6))
            first = self._link.recv(1)  # nothing: the program has no socket
            if first:
                echoed, status, length = ANSWER.unpack(first + self._exactly(ANSWER.size - 1, deadline))
                if echoed != nonce or status != OK or not 0 < length <= MAX_REPLY:
                    raise ProtocolViolation("become: the runner's answer has a false header")
                raise raised(parse(self._exactly(length, deadline)).get("error"))
        except (TimeoutError, BlockingIOError):
            self.kill()
            raise RunnerTimedOut("the program", timeout, tail=self.output_tail()) from None
        except ProtocolViolation:
            self.kill()
            raise
        except OSError:
            pass
        if not processes.wait_gone(self._pidfd, deadline - time.monotonic()):
            self.kill()
            raise RunnerTimedOut("the program", timeout, tail=self.output_tail())
        return time.monotonic() - begin, self._ended()

    def freeze(self) -> None:
        """Stop every process of the runner; returns once all are seen stopped.

        Raises:
            RunnerError: they could not be stopped in time; the runner has been killed.
        """
        if self._frozen or not self._open:
            return
        self._frozen = processes.freeze(self.pid)
        if not self._frozen:
            self.kill()
            raise RunnerError("the runner could not be stopped")

    def thaw(self) -> None:
        """Let a frozen runner go on."""
        if self._frozen and self._open:
            processes.thaw(self._frozen)
        self._frozen = []

    def kill(self) -> None:
        """End the runner and everything it started; returns when they are gone. May be called again."""
        with self._lock:
            if not self._open:
                return
            self._open = False
        family = [] if self._isolated else processes.descendants(self.pid)
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        for member in family[1:]:  # without a pid namespace nothing dies with its first process
            with contextlib.suppress(OSError):
                os.kill(member, signal.SIGKILL)
        processes.wait_gone(self._pidfd, 10.0)
        self._link.close()
        self._release(self)
        os.close(self._pidfd)
