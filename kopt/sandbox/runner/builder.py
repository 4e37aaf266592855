"""The builder's program: turn sources into an artefact, inside the sandbox."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Mapping
from typing import Any

from .loop import BadRequest
from .sources import write_sources


class BuilderProgram:
    """Builds one candidate and is then thrown away."""

    own_threads = False

    def __init__(self, scratch: str, config: Mapping[str, Any]) -> None:
        self.directory = os.path.join(scratch, "build")  # noqa: PTH118
        os.makedirs(self.directory, exist_ok=True)  # noqa: PTH103
        self.config = config

    def request(self, op: str, body: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """``build`` a candidate, or ``headers`` ahead; the result goes to the first descriptor.

        ``become`` runs what was built for a sanitizer, in this process's place.
        """
        if op == "headers":
            from .toolchains import cpp

            data, files = cpp.precompile(self.directory, body["compiler"])
            write_all(fds[0], data)
            return {"files": files}
        if op == "ping":
            return {}
        if op == "become":
            from . import sanitized

            sanitized.become(self.directory, body, fds)
        if op != "build":
            raise BadRequest(f"a builder does not know {op!r}")
        started = time.monotonic()
        write_sources(body["sources"], self.directory)
        if body["language"] not in ("cpp", "cuda", "triton", "torch"):
            raise BadRequest(f"no toolchain for {body['language']!r}", kind="build")
        name = "extension" if body["language"] == "torch" else body["language"]
        if body.get("sanitizer"):
            name = "sanitized"
        elif body.get("profiled") and name == "cpp":
            name = "profiled"
        toolchain = importlib.import_module(f".toolchains.{name}", __package__)
        result = toolchain.build(self.directory, self.config, body)
        if result.artifact:
            write_all(fds[0], result.artifact)
        report = dict(result.report) | {"build_seconds": round(time.monotonic() - started, 3)}
        return {"built": result.ok, "log": result.log, "first_error": result.first_error, "report": report}

    def round(self, start: int, count: int) -> None:
        """A builder has nothing to time."""
        if count:
            raise BadRequest("a builder has no slots")

    def rest(self) -> None:
        """Nothing to free."""


def write_all(fd: int, data: bytes) -> None:
    """Write everything from the start of a descriptor."""
    view, offset = memoryview(data), 0
    while offset < len(view):
        offset += os.pwrite(fd, view[offset : offset + (1 << 26)], offset)
