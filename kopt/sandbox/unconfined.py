"""The back end that isolates nothing: ``--sandbox none``, for those who write it, and the record says so."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kopt.sandbox import places
from kopt.sandbox.backend import Launched, Toolchain
from kopt.sandbox.compilers import host_toolchain
from kopt.sandbox.report import IsolationReport
from kopt.sandbox.subprocesses import Child
from kopt.sandbox.zygote import python_command


class Unconfined:
    """Runners are processes of this user in a folder of their own. See :mod:`kopt.sandbox.backend`."""

    name = "none"
    isolated = False

    def __init__(self) -> None:
        self.scratch = tempfile.mkdtemp(prefix="kopt-sandbox-")
        self._program = Path(self.scratch, "program")
        self._program.mkdir()
        # The runner program is found through a link, so that nothing else of the package is importable by it.
        (self._program / "kopt_runner").symlink_to(Path(__file__).parent / "runner")

    def toolchain(self) -> Toolchain:
        """This machine's own compiler."""
        return host_toolchain()

    def start(self, environment: Mapping[str, str], headers: Path) -> Launched:
        """Start the zygote as an ordinary child process."""
        return Child(lambda fd: python_command(str(self._program), str(fd)), environment, self.scratch)

    def config(self, headers: Path) -> dict[str, Any]:
        """Everything lies where it lies on this machine."""
        return places.inside() | {
            "scratch": self.scratch,
            "package": str(places.package_directory().parent),
            "headers": str(headers),
        }

    def relax(self, report: IsolationReport) -> bool:
        """There is nothing to give up."""
        return False

    def describe(self, report: IsolationReport) -> None:
        """Say that nothing holds."""
        for layer in ("namespaces", "seccomp", "private scratch", "no capabilities"):
            report.lack(layer, "candidates run with all the powers of this user")

    def make_scratch(self) -> str:
        """A folder in the sandbox's own."""
        return tempfile.mkdtemp(dir=self.scratch)

    def close(self) -> None:
        """Remove the folder and all in it."""
        shutil.rmtree(self.scratch, ignore_errors=True)
