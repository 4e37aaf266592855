"""A candidate that lives beside an attack, in a scratch of its own with a secret in it: it must not notice anything."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from kopt.sandbox import Role, RunnerError, Sandbox, places

SOURCE = """
import os

for place in (os.environ["TMPDIR"], "/dev/shm"):
    with open(f"{place}/{NAME}", "w") as file:
        file.write(SECRET)


def run(x):
    return x
"""
_ANSWERS_WITHIN = 20.0  # seconds


class Sibling:
    """The living candidate; a context manager that ends it.

    Raises:
        RunnerError: it could not be loaded.
        SandboxUnavailable: none could be started.
    """

    def __init__(self, sandbox: Sandbox, name: str, secret: str) -> None:
        self._name, self._secret = name, secret
        self.runner = sandbox.spawn(Role.CANDIDATE)
        try:
            body = {
                "language": "torch",
                "sources": {"candidate.py": f"NAME, SECRET = {name!r}, {secret!r}\n{SOURCE}"},
                "entry": "candidate.py::run",
                "style": "returning",
            }
            self.runner.request("load_candidate", body, timeout=_ANSWERS_WITHIN)
        except BaseException:
            self.runner.kill()
            raise

    def __enter__(self) -> Sibling:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.runner.kill()

    def files(self) -> list[Path]:
        """Its secrets, as this machine sees them."""
        root = Path(f"/proc/{self.runner.pid}/root")
        return [root / place.lstrip("/") / self._name for place in (places.SCRATCH, "/dev/shm")]

    def harm(self) -> str:
        """What was done to it, in one line; empty when nothing."""
        if not self.runner.alive:
            return "it ended a candidate beside it"
        try:
            self.runner.request("ping", timeout=_ANSWERS_WITHIN)
            if any(file.read_text() != self._secret for file in self.files()):
                return "it changed a file of a candidate beside it"
        except RunnerError as error:
            return f"a candidate beside it no longer answers: {error}"
        except OSError as error:
            return f"it took a file from a candidate beside it: {error.strerror}"
        return ""
