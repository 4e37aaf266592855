"""The program behind commands: puts files in place, builds them, and is then replaced by the command itself.

A command's process is pid 1 of its namespace: when it ends, the kernel has ended all that it started.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from typing import Any

from .archives import unpack
from .builder import write_all
from .loop import BadRequest
from .sources import write_sources

_LOG = 8000
# Of the zygote's own: these would make a program run otherwise than outside.
_FOREIGN = ("GLIBC_TUNABLES", "TORCH", "TRITON", "OPENBLAS_NUM_THREADS", "CUDA_VISIBLE_DEVICES")


class CommandProgram:
    """Serves one command and is gone."""

    own_threads = True

    def __init__(self, scratch: str) -> None:
        self.directory = os.path.join(scratch, "work")  # noqa: PTH118
        os.makedirs(self.directory, exist_ok=True)  # noqa: PTH103

    def request(self, op: str, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """``place`` files, over what was built (a tar in the descriptor); ``build``; ``become`` a command."""
        if op == "place":
            if fds:
                self._unpack(fds[0])
            self._clear(body["files"])
            write_sources(body["files"], self.directory)
            return {}
        if op == "build":
            return self._build(str(body["command"]), float(body["seconds"]), fds[0])
        if op == "become":
            self._become(str(body["command"]), fds)
        raise BadRequest(f"a command's program does not know {op!r}")

    def round(self, start: int, count: int) -> None:
        """There is nothing to call."""
        raise BadRequest("a command has no slots")

    def rest(self) -> None:
        """Nothing to free."""

    def _clear(self, files: Mapping[str, str]) -> None:
        """Remove what a build left where files go: a link would lead them elsewhere."""
        for name in files:
            place = self.directory
            for part in name.split("/"):
                place = os.path.join(place, part)  # noqa: PTH118
                final = place == os.path.join(self.directory, name)  # noqa: PTH118
                if os.path.islink(place) or (not final and os.path.isfile(place)):  # noqa: PTH113, PTH114
                    os.unlink(place)  # noqa: PTH108
                elif final and os.path.isdir(place):  # noqa: PTH112
                    shutil.rmtree(place)

    def _unpack(self, fd: int) -> None:
        import tarfile

        os.lseek(fd, 0, os.SEEK_SET)
        with open(fd, "rb", closefd=False) as file, tarfile.open(fileobj=file) as archive:
            unpack(archive, self.directory, links=True)

    def _build(self, command: str, seconds: float, fd: int) -> dict[str, Any]:
        import io
        import subprocess
        import tarfile

        try:
            done = subprocess.run(
                _words(command),
                cwd=self.directory,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            return {"built": False, "log": f"it took longer than {seconds:g} s"}
        log = done.stdout.decode("utf-8", "replace")
        if done.returncode == 0:
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as archive:
                archive.add(self.directory, arcname=".")
            write_all(fd, packed.getvalue())
        return {"built": done.returncode == 0, "status": done.returncode, "log": log[:_LOG]}

    def _become(self, command: str, fds: list[int]) -> None:
        """Replace this process. The first descriptor is its standard input, the second its standard output."""
        words = _words(command)
        os.chdir(self.directory)
        os.lseek(fds[0], 0, os.SEEK_SET)
        kept = os.dup(0), os.dup(1)
        for fd in _descriptors():
            if fd > 2:
                with contextlib.suppress(OSError):
                    os.set_inheritable(fd, False)
        os.dup2(fds[0], 0)
        os.dup2(fds[1], 1)
        try:
            os.execvpe(words[0], words, _environment())
        except OSError as error:
            os.dup2(kept[0], 0)
            os.dup2(kept[1], 1)
            raise BadRequest(f"{words[0]}: {error.strerror}", kind="command") from None


def _descriptors() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
    except OSError:
        return list(range(3, 1024))


def _words(command: str) -> list[str]:
    """A command's words; no shell reads them. ``python`` is this interpreter."""
    words = shlex.split(command)
    if not words:
        raise BadRequest("the command is empty", kind="command")
    if words[0] in ("python", "python3"):
        words[0] = sys.executable
    return words


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
