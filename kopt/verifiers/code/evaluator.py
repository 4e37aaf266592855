"""The judge's front door for code problems: what :class:`kopt.verifiers.evaluator.Evaluator` is for kernels."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from kopt.errors import ProblemError
from kopt.problems.code import rules_of
from kopt.problems.folder import visible
from kopt.sandbox import IsolationReport, Sandbox, open_sandbox
from kopt.sandbox.commands import Place, Ran, build, run
from kopt.sandbox.errors import RunnerError
from kopt.settings import Settings
from kopt.settings import settings as default_settings
from kopt.verifiers.code.cases import Case, Cases, weaknesses
from kopt.verifiers.code.compare import difference
from kopt.verifiers.code.trial import BEFORE, CodeTrial, first_error
from kopt.verifiers.sampling import Effort
from kopt.words import Candidate, Evaluation, Policy, Problem, WorkloadSpec

__all__ = ["BEFORE", "CodeEvaluator"]

_REFUSED = "PermissionError: [Errno 1]"
_NO_NETWORK = ": no command has a network; pytest leaves a plugin that wants one out with -p no:NAME"


class CodeEvaluator:
    """Judges candidates for one code problem. A context manager.

    Raises on construction:
        ProblemError: the original does not build, fails its tests or its pairs, or answers differently each time.
        SandboxUnavailable: nothing here can isolate.
    """

    specs: tuple[WorkloadSpec, ...] = ()
    policy = Policy.FREE

    def __init__(
        self,
        problem: Problem,
        *,
        sandbox: str | Sandbox = "auto",
        settings: Settings | None = None,
        observer: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> None:
        self.problem, self.rules = problem, rules_of(problem)
        self.settings = settings or default_settings()
        self.observer = observer
        self.files = visible(problem.sources)
        self.build_seconds = self.settings.build_seconds
        self.sandbox = open_sandbox(sandbox, settings=self.settings)
        try:
            self.environment: dict[str, Any] = dict(self.sandbox.environment)
            self._original = self._build()
            self._test()
            self.cases = Cases(problem, self.rules, self.sandbox, self.run_original)
            self._repeat()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> CodeEvaluator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def report(self) -> IsolationReport:
        """Which layers of isolation hold."""
        return self.sandbox.report

    def observe(self, event: str, detail: dict[str, Any]) -> None:
        """Tell whoever watches."""
        if self.observer is not None:
            self.observer(event, detail)

    def evaluate(
        self,
        candidate: Candidate,
        *,
        effort: Effort = Effort.FULL,
        incumbent: Evaluation | None = None,
        deadline: float | None = None,
    ) -> Evaluation:
        """Judge a candidate; never raises for what it does.

        With full effort the inputs are new ones. ``incumbent`` and ``deadline`` (:func:`time.monotonic`) end a quick
        measurement early.
        """
        return CodeTrial(self, candidate, effort, incumbent, deadline).judge()

    def weaknesses(self) -> list[str]:
        """Trivial answers that would pass."""
        return weaknesses(self.cases.known(), self.rules)

    def run_original(self, data: bytes) -> Ran:
        """Run the program as it was."""
        try:
            return run(self.sandbox, self._original, self.rules.run, data, self.rules.seconds)
        except RunnerError as error:
            raise self._unusable(f"`{self.rules.run}` cannot be started: {error}") from None

    def time_original(self, case: Case) -> float:
        """Seconds the original takes on a case, by the judge's clock.

        Raises:
            ProblemError: it does not answer as it did before.
        """
        ran = self.run_original(case.data)
        if ran.status != 0 or difference(self.rules, case.expected, ran.output) is not None:
            why = ran.stopped or "another answer than before"
            raise self._unusable(f"the original is not the same each time ({why})")
        return ran.seconds

    def _build(self) -> Place:
        if not self.rules.build:
            return Place(files=self.files)
        built, log = build(self.sandbox, Place(files=self.files), self.rules.build, self.build_seconds)
        if built is None:
            raise self._unusable(f"the original does not build: {first_error(log)}")
        return Place(files=self.files, built=built)

    def _test(self) -> None:
        if not self.rules.test:
            return
        try:
            ran = run(self.sandbox, self._original, self.rules.test, b"", self.rules.test_seconds)
        except RunnerError as error:
            raise self._unusable(f"`{self.rules.test}` cannot be started: {error}") from None
        if ran.status != 0:
            told = (ran.output.decode("utf-8", "replace") + ran.tail).strip().splitlines()
            why = ran.stopped or f"exit status {ran.status}"
            last = told[-1][:300] if told else "it printed nothing"
            hint = _NO_NETWORK if any(_REFUSED in line for line in told) else ""
            raise self._unusable(f"the original fails its own tests ({why}): {last}{hint}")

    def _repeat(self) -> None:
        for case in self.cases.known():
            if case.timed:
                self.time_original(case)
                return

    def _unusable(self, message: str) -> ProblemError:
        return ProblemError(" ".join(message.split()), path=self.problem.path)

    def close(self) -> None:
        """End every process."""
        self.sandbox.close()
