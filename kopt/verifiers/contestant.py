"""A candidate on the bench: a fresh process, a borrowed ring, frozen whenever nothing is asked of it.

Whatever it does wrong becomes a :class:`Failure`: the verdict and one line that names the next step.
"""

from __future__ import annotations

import signal as signals
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, TypeVar

from kopt.sandbox import Limits, Role, Sandbox
from kopt.sandbox.buffers import memory_file
from kopt.sandbox.errors import ProtocolViolation, RunnerCrashed, RunnerError, RunnerRaised, RunnerTimedOut
from kopt.verifiers.clock import Stretch
from kopt.verifiers.gate import Contents, paced
from kopt.verifiers.glance import Glance
from kopt.verifiers.workbench import Workbench
from kopt.words import Candidate, Language, Style, Verdict, to_json

Answer = TypeVar("Answer")
_LATE = "it went on writing outputs after it had answered ({}): finish each call's work in that call"
_PROMPT = 5e-4  # seconds, besides those of looking itself, within which an undisturbed judge has looked
_GRACE = {Language.CPP: 10.0, Language.CUDA: 10.0, Language.TRITON: 60.0, Language.TORCH: 60.0}


class Failure(Exception):
    """The candidate failed: what the judge decides and why, in one line."""

    def __init__(self, verdict: Verdict, reason: str, **detail: Any) -> None:
        reason = " ".join(reason.split())  # one line, whatever names the candidate gave its exceptions
        super().__init__(reason)
        self.verdict, self.reason, self.detail = verdict, reason, detail


def failure_of(error: RunnerError, doing: str) -> Failure:
    """The verdict for what a candidate's runner did."""
    if isinstance(error, RunnerTimedOut):
        reason = f"no answer within {error.seconds:.0f} s ({doing}): look for an endless loop or a lock"
        return Failure(Verdict.TIMED_OUT, reason, output=error.tail[-2000:])
    if isinstance(error, RunnerCrashed):
        hint = "look for accesses out of bounds; `kopt evaluate` names the line where it can"
        if error.signal in (signals.SIGKILL, signals.SIGABRT) or "memory" in error.detail:
            hint = "look for allocations beyond the limit and for failed assertions"
        elif error.signal is None:
            hint = "a kernel must return, not end the process"
        reason = f"{error.detail} ({doing}): {hint}"
        return Failure(Verdict.CRASHED, reason, output=error.tail[-2000:], signal=error.signal)
    if isinstance(error, RunnerRaised):
        line = (error.message.splitlines() or [""])[0][:300]
        where = f" at {error.file}:{error.line}" if error.file and error.line else ""
        if error.kind == "bad_output":
            return Failure(Verdict.WRONG, f"{line}: return what the reference returns", trace=error.trace)
        if error.kind == "policy":
            return Failure(
                Verdict.REJECTED, f"{line}{where}: policy strict wants a kernel that does the work"
            )
        if error.kind == "import":
            return Failure(Verdict.REJECTED, f"{line}{where}: mend the entry point", trace=error.trace)
        reason = f"raises {error.type or 'an error'}: {line}{where} ({doing}): mend the source"
        return Failure(Verdict.CRASHED, reason, trace=error.trace)
    if isinstance(error, ProtocolViolation):
        return Failure(Verdict.TAMPERED, f"{error} ({doing}): a kernel must not talk to the judge")
    return Failure(Verdict.TAMPERED, f"{error} ({doing}): a kernel must not outlive or evade its process")


class Contestant:
    """One candidate, loaded and attached to a ring of ``bench``; a context manager.

    ``withheld`` takes the library's operators from its process once it is constructed: True those that copy
    as well, False all others, None leaves them.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        bench: Workbench,
        candidate: Candidate,
        artifact: bytes | None,
        seconds: float,
        withheld: bool | None = None,
    ) -> None:
        self.bench, self.candidate = bench, candidate
        self.layout = bench.layout
        self.seconds = seconds
        self.called = False
        self._looks: deque[float] = deque(maxlen=32)
        self.ring = bench.borrow()
        try:
            self.runner = sandbox.spawn(Role.CANDIDATE, Limits(shared_bytes=2 * self.layout.size + (1 << 30)))
        except BaseException:
            bench.give_back(self.ring)
            raise
        try:
            self._load(artifact)
            if withheld is not None:
                self.withhold(withheld)
            self.freeze()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Contestant:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _load(self, artifact: bytes | None) -> None:
        spec, candidate = self.bench.spec, self.candidate
        body: dict[str, Any] = {
            "language": candidate.language.value,
            "sources": dict(candidate.sources),
            "entry": candidate.entry,
            "style": candidate.style.value,
            "init": to_json(spec.init),
            "seed": self.bench.seed,
            "spec": to_json(spec),
        }
        with ExitStack() as shared:
            fds = []
            if artifact:
                fds.append(shared.enter_context(memory_file(artifact, "artifact")))
            if self.bench.state is not None:
                buffer, layout = self.bench.state
                body["state"] = {"layout": layout.to_json(), "settled": self.bench.eager.settled}
                fds.append(shared.enter_context(buffer.lent(writable=False)))
            self._ask("load_candidate", body, fds, "while it was loaded")
        with self.ring.buffer.lent() as fd:
            self._ask("attach", self.ring.attachment(), [fd], "while it was attached")

    def _guard(self, doing: str, action: Callable[[], Answer]) -> Answer:
        try:
            return action()
        except RunnerError as error:
            raise failure_of(error, doing) from error

    def _ask(self, op: str, body: dict[str, Any], fds: list[int], doing: str) -> dict[str, Any]:
        return self._guard(doing, lambda: self.runner.request(op, body, timeout=self.seconds, fds=fds))

    def _told(self, op: str, body: dict[str, Any], doing: str) -> dict[str, Any]:
        """Thaw, ask, freeze."""
        self.runner.thaw()
        reply = self._ask(op, body, [], doing)
        self.freeze()
        return reply

    def use(self, mode: str) -> None:
        """``copy`` or ``no_copy``: what is done with returned tensors."""
        self._told("use", {"mode": mode}, "between rounds")

    def withhold(self, copies: bool) -> None:
        """Take the library's operators from its process, those that only copy too when ``copies``."""
        self._told("withhold", {"copies": copies}, "while the library was withheld")

    def trace(self, slot: int) -> dict[str, Any]:
        """Have it called on one slot and hear which library operators it went through: its word."""
        return self._told("trace", {"slot": slot}, "while it was traced")

    def refused(self) -> tuple[str, ...]:
        """What it called although it was withheld: its word, in a bounded form."""
        names = self._told("refused", {}, "after it was traced").get("names")
        return tuple(str(name)[:128] for name in names[:64]) if isinstance(names, list) else ()

    def allowed(self, count: int) -> float:
        """Seconds a round of ``count`` calls may take: far beyond the reference's, more on the first."""
        usual = 10.0 + 50.0 * count * self.bench.call_seconds
        if self.candidate.language is Language.TRITON:
            return self.seconds
        if not self.called:
            usual += _GRACE[self.candidate.language]
        return min(usual, self.seconds)

    def round(self, stretch: Stretch, doing: str = "while it ran") -> float:
        """Let it run on these slots: time, freeze. Nothing of it moves afterwards.

        Between the answer and the freeze it could go on working, so its outputs are looked at in between: what
        changes afterwards was not done when it said so. Whoever keeps the judge from looking pays for that time.
        """
        glance = Glance(self.ring, stretch)
        allowed = self.allowed(stretch.count)
        seconds = self._guard(doing, lambda: self.runner.round(stretch.start, stretch.count, timeout=allowed))
        glance.take()
        looked = time.perf_counter_ns()
        late = (looked - self.runner.answered) * 1e-9
        self.freeze()
        began = time.perf_counter_ns()
        changed = glance.changed()
        self._looks.append((time.perf_counter_ns() - began) * 1e-9)
        if changed:
            raise Failure(Verdict.TAMPERED, _LATE.format(doing))
        self.called = self.called or stretch.count > 0
        prompt = _PROMPT + 4 * statistics.median(
            self._looks
        )  # what looking takes here while nobody interferes
        return seconds + (late if late > prompt and stretch.count else 0.0)

    def paced(self, slots: Sequence[int], contents: Contents) -> list[float]:
        """Seconds of single calls through the gate (:mod:`~kopt.verifiers.gate`)."""

        def ask(start: int, count: int) -> int:
            self.runner.round(start, count, timeout=self.allowed(count))
            return self.runner.answered

        doing = "while it was called one by one"
        seconds, glances = self._guard(doing, lambda: paced(self.ring, ask, slots, contents))
        self.freeze()
        if any(glance.changed() for glance in glances):
            raise Failure(Verdict.TAMPERED, _LATE.format(doing))
        return seconds

    def empty(self) -> float:
        """Time a round without calls, on old contents."""
        return self.round(Stretch(0, 0), "between rounds")

    def freeze(self) -> None:
        """Stop all its threads and processes."""
        self._guard("while it was stopped", self.runner.freeze)

    def close(self) -> None:
        """End its processes and give its ring back."""
        with suppress(RunnerError):
            self.runner.kill()
        if self.ring.rows.size:
            self.bench.give_back(self.ring)

    @property
    def returning(self) -> bool:
        """Whether its outputs are copied into the ring."""
        return self.candidate.style is Style.RETURNING
