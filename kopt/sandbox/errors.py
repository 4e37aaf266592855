"""What can go wrong with a runner, told apart so that the judge can turn it into the right verdict."""

from __future__ import annotations

import signal as signals

from kopt.errors import KoptError, SandboxUnavailable

__all__ = [
    "ProtocolViolation",
    "RunnerCrashed",
    "RunnerError",
    "RunnerRaised",
    "RunnerTimedOut",
    "SandboxUnavailable",
]


class RunnerError(KoptError):
    """Base of everything a runner can do wrong."""


class RunnerCrashed(RunnerError):
    """The runner's process is gone. ``signal`` is the number that killed it, where known."""

    def __init__(self, detail: str, *, signal: int | None = None, tail: str = "") -> None:
        self.detail, self.signal, self.tail = detail, signal, tail
        super().__init__(detail)

    @staticmethod
    def describe(status: int | None) -> tuple[str, int | None]:
        """Turn a wait status into words and a signal number."""
        if status is None:
            return "the runner ended", None
        number = status & 0x7F
        if not number:
            return f"the runner exited with status {(status >> 8) & 0xFF}", None
        try:
            return f"the runner was killed by {signals.Signals(number).name}", number
        except ValueError:
            return f"the runner was killed by signal {number}", number


class RunnerTimedOut(RunnerError):
    """No answer within the time allowed. The runner has been killed."""

    def __init__(self, what: str, seconds: float, *, tail: str = "") -> None:
        self.what, self.seconds, self.tail = what, seconds, tail
        super().__init__(f"{what}: no answer within {seconds:g} s")


class RunnerRaised(RunnerError):
    """The runner answered that something failed: untrusted words, good for a person, never for a decision."""

    def __init__(
        self, *, kind: str, type: str, message: str, file: str = "", line: int | None = None, trace: str = ""
    ) -> None:
        self.kind, self.type, self.message = kind, type, message
        self.file, self.line, self.trace = file, line, trace
        where = f" ({file}:{line})" if file and line else f" (line {line})" if line else ""
        super().__init__(f"{type}: {message}{where}" if type else f"{message}{where}")


class ProtocolViolation(RunnerError):
    """The runner sent bytes that no honest runner sends. It has been killed."""
