"""Errors a user sees: one line that says what is wrong and what to do next."""

from __future__ import annotations


class KoptError(Exception):
    """Base of every error that kopt raises on purpose. ``str(error)`` is the one line shown to the user."""


class UsageError(KoptError):
    """Input that cannot be used: a missing or malformed file, an option that does not fit. Exit status 2."""


class ProblemError(UsageError):
    """A problem that cannot be judged; the message names the file and, where known, the line."""

    def __init__(self, message: str, *, path: str = "", line: int | None = None) -> None:
        where = f"{path}:{line}: " if path and line else f"{path}: " if path else ""
        super().__init__(where + message)
        self.path = path
        self.line = line


class SandboxUnavailable(KoptError):
    """No isolation back end works on this machine; `kopt doctor` tells what is missing."""
