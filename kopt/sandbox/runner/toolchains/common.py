"""What the toolchains share: the outcome, running a tool, the first error in its words, allowed flags."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
from collections.abc import Sequence
from typing import Any

from ..loop import BadRequest

_ERROR = re.compile(
    r"^(?P<file>[^\s:(][^:(\n]*)(?::(?P<line>\d+):(?:\d+:)?|\((?P<other>\d+)\):?)"
    r"\s*(?:fatal )?error\s*:?\s*(?P<message>.*)$",
    re.M,
)
_ASSEMBLER = re.compile(r"^ptxas\b.*?\berror\s*:\s*(?P<message>.*)$", re.M)  # of no file that anybody wrote
_OTHER = re.compile(
    r"^(?:.*?: )?(?:fatal error|error|undefined reference)\b.*$|^.*undefined reference to .*$", re.M
)


@dataclasses.dataclass
class Outcome:
    """What a toolchain hands back."""

    ok: bool
    artifact: bytes = b""
    log: str = ""
    first_error: str | None = None
    report: dict[str, Any] = dataclasses.field(default_factory=dict)


def first_error(log: str, directory: str) -> str | None:
    """``file:line: message`` of the first compiler error, with paths as the candidate knows them."""
    found = _ERROR.search(log)
    if found:
        file = found["file"].removeprefix(directory).lstrip("/")
        return f"{file}:{found['line'] or found['other']}: {found['message'].strip()}"
    assembler = _ASSEMBLER.search(log)
    if assembler:
        return f"ptxas: {assembler['message'].strip()}"[:500]
    other = _OTHER.search(log)
    return other.group(0).strip()[:500] if other else None


def run_logged(command: Sequence[str], directory: str, *, seconds: float) -> tuple[int, str]:
    """Run a tool; its exit status and the file that holds what it printed.

    Raises:
        BadRequest: there is no such tool, or it took too long.
    """
    path = os.path.join(directory, ".log")  # noqa: PTH118
    with open(path, "wb") as log:  # noqa: PTH123
        try:
            done = subprocess.run(
                command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                env={**os.environ, "LC_ALL": "C"},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BadRequest(f"{command[0]} took longer than {seconds:g} s", kind="build") from None
        except FileNotFoundError:
            raise BadRequest(
                f"{command[0]} is not installed; `kopt doctor` tells more", kind="build"
            ) from None
    return done.returncode, path


def run(command: Sequence[str], directory: str, *, seconds: float) -> tuple[int, str]:
    """Run a tool; its exit status and the beginning of what it printed."""
    status, path = run_logged(command, directory, seconds=seconds)
    with open(path, "rb") as log:  # noqa: PTH123
        return status, log.read(64_000).decode("utf-8", "replace")


def check_flags(flags: Sequence[str], allowed: re.Pattern[str]) -> list[str]:
    """Flags as given, if all are on the list.

    Raises:
        BadRequest: one is not.
    """
    for flag in flags:
        if not allowed.fullmatch(flag):
            raise BadRequest(f"compiler flag {flag!r} is not on the allow-list", kind="build")
    return list(flags)
