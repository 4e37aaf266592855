"""What a back end is: how a zygote is started where nothing can escape, and what of that is reported.

There are three, one module each: :mod:`~kopt.sandbox.bubblewrap`, :mod:`~kopt.sandbox.container` (Docker) and
:mod:`~kopt.sandbox.unconfined` (``none``). Everything else in this room is the same for all of them.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kopt.sandbox.report import IsolationReport


class Launched(Protocol):
    """The process tree a zygote runs in, as far as the judge needs to know it."""

    @property
    def pid(self) -> int:
        """The topmost process, as this one sees it."""

    @property
    def control(self) -> socket.socket:
        """The judge's end of the zygote's socket."""

    @property
    def alive(self) -> bool:
        """Whether the topmost process still runs."""

    def words(self) -> str:
        """What was printed so far, for the error message of a start that failed."""

    def end(self) -> None:
        """Kill everything in it; returns when all of it is gone. May be called again."""


@dataclass(frozen=True)
class Toolchain:
    """The C++ compiler builds use: its ``name``, the ``version`` it prints, and where it comes from.

    ``origin`` enters the key of every build: empty for this machine's own, an image's digest in a container.
    """

    name: str | None
    version: str
    origin: str = ""


class Backend(Protocol):
    """Starts zygotes and answers for the layers around them."""

    name: str
    isolated: bool
    """Whether runners have namespaces and mounts of their own."""
    scratch: str
    """Where the zygote's scratch lies, as it sees it."""

    def toolchain(self) -> Toolchain:
        """The compiler candidates are built with."""

    def start(self, environment: Mapping[str, str], headers: Path) -> Launched:
        """Start a zygote with that environment; ``headers`` is shown to it read only.

        Raises:
            SandboxUnavailable: it cannot be started; the message says what to do.
        """

    def config(self, headers: Path) -> dict[str, Any]:
        """What the zygote is told of its places."""

    def relax(self, report: IsolationReport) -> bool:
        """After a start that failed: give up a layer that may be why, and say so; false if there is none."""

    def describe(self, report: IsolationReport) -> None:
        """Note the layers this back end answers for, and those it lacks."""

    def make_scratch(self) -> str:
        """A directory for one runner where no mount gives it one, else empty."""

    def close(self) -> None:
        """Remove what is left on this machine. May be called again."""
