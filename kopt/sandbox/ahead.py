"""What a first evaluation needs and takes seconds, begun when a sandbox is opened: the judge is imported meanwhile."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from kopt.errors import KoptError
from kopt.sandbox.limits import Role
from kopt.words import Candidate, Language

if TYPE_CHECKING:
    from kopt.sandbox.handle import RunnerHandle
    from kopt.sandbox.session import Sandbox


class Ahead:
    """A candidate's build, and a reference's runner with all that ``torch.compile`` imports.

    What fails here fails again where it is needed, and is told there.
    """

    def __init__(self, sandbox: Sandbox, candidate: Candidate) -> None:
        self._sandbox = sandbox
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="kopt-ahead")
        self._compiler: Future[RunnerHandle] | None = None
        if candidate.language.timed:
            self._compiler = self._threads.submit(sandbox.spawn, Role.REFERENCE, compiling=True)
        if candidate.language is Language.CPP:  # others' builds need to know shapes
            self._threads.submit(self._build, candidate)

    def _build(self, candidate: Candidate) -> None:
        """Into the cache, where the build stage finds it."""
        with contextlib.suppress(KoptError, OSError, ValueError):
            self._sandbox.builder.build(candidate)

    def compiler(self) -> Future[RunnerHandle] | None:
        """The runner, for one reference."""
        found, self._compiler = self._compiler, None
        return found

    def close(self) -> None:
        """Wait for what is under way: it ends with its sandbox."""
        self._threads.shutdown(cancel_futures=True)
