"""What runners print: the beginning is kept, the rest costs nothing and never blocks them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import threading

from kopt.sandbox.messages import printable

_F_SETPIPE_SZ = 1031
_CHUNK = 1 << 16


class Output:
    """One runner's standard output and error, bounded."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept = bytearray()
        self.discarded = 0
        self.reader, self.writer = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(self.reader, _F_SETPIPE_SZ, 1 << 20)
        os.set_blocking(self.reader, False)

    def drain(self, sink: int) -> bool:
        """Take what is there; false at the end. Past the limit pages are spliced away, not copied."""
        try:
            room = self.limit - len(self.kept)
            if room > 0:
                data = os.read(self.reader, min(room, _CHUNK))
                self.kept += data
                return bool(data)
            count = os.splice(self.reader, sink, 1 << 20)
            self.discarded += count
            return bool(count)
        except BlockingIOError:
            return True
        except OSError:
            return False

    def tail(self, size: int = 16384) -> str:
        """The last of what was kept, as text."""
        text = printable(bytes(self.kept[-size:]).decode("utf-8", "replace"))
        return text + (f"\n[{self.discarded} more bytes discarded]" if self.discarded else "")


class OutputDrain:
    """One thread that empties the pipes of all runners of a sandbox."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._outputs: dict[int, Output] = {}
        self._sink = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        self._lock = threading.Lock()
        self._closed = False
        self._wake_reader, self._wake_writer = os.pipe()
        self._epoll.register(self._wake_reader, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="kopt-output", daemon=True)
        self._thread.start()

    def open(self, limit: int) -> Output:
        """A new bounded output. The caller closes its ``writer`` once the runner has it."""
        output = Output(limit)
        with self._lock:
            self._outputs[output.reader] = output
            self._epoll.register(output.reader, select.EPOLLIN)
        return output

    def forget(self, output: Output) -> None:
        """Take what is left and close."""
        with self._lock:
            if self._outputs.pop(output.reader, None) is None:
                return
            with contextlib.suppress(OSError):
                self._epoll.unregister(output.reader)
            for _ in range(64):
                before = len(output.kept) + output.discarded
                if not output.drain(self._sink) or len(output.kept) + output.discarded == before:
                    break
            os.close(output.reader)

    def _run(self) -> None:
        while not self._closed:
            for fd, _ in self._epoll.poll():
                with self._lock:
                    output = self._outputs.get(fd)
                    if output is not None and not output.drain(self._sink):
                        with contextlib.suppress(OSError):
                            self._epoll.unregister(fd)

    def close(self) -> None:
        """Stop the thread and close every pipe."""
        for output in list(self._outputs.values()):
            self.forget(output)
        self._closed = True
        os.write(self._wake_writer, b"x")
        self._thread.join(timeout=5)
        self._epoll.close()
        for fd in (self._sink, self._wake_reader, self._wake_writer):
            os.close(fd)
