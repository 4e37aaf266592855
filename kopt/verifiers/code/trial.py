"""One candidate for a code problem before the judge: the stages in order, ending at the first that fails."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kopt.sandbox.commands import Place, Ran, build, run
from kopt.sandbox.errors import RunnerError
from kopt.verifiers import statistics
from kopt.verifiers.code import static
from kopt.verifiers.code.cases import Case
from kopt.verifiers.code.compare import difference
from kopt.verifiers.code.sampling import Samples, sample
from kopt.verifiers.contestant import Failure
from kopt.verifiers.sampling import Effort
from kopt.words import Candidate, Evaluation, Speedup, StageName, StageRecord, Timing, Verdict, to_json

if TYPE_CHECKING:
    from kopt.verifiers.code.evaluator import CodeEvaluator

BEFORE = "before"
_TOLD = 300


class CodeTrial:
    """Everything about judging one candidate once."""

    def __init__(
        self,
        evaluator: CodeEvaluator,
        candidate: Candidate,
        effort: Effort,
        incumbent: Evaluation | None,
        deadline: float | None,
    ) -> None:
        self._evaluator, self._candidate, self._effort = evaluator, candidate, effort
        self._incumbent, self._deadline = incumbent, deadline
        self._rules = evaluator.rules
        self._stages: list[StageRecord] = []
        self._place = Place(files={})
        self._build: dict[str, Any] = {}
        self._runs = self._checked = 0
        self._gain: Speedup | None = None
        self._timing: dict[str, Timing] = {}
        self._began = time.monotonic()

    def judge(self) -> Evaluation:
        """Run the stages."""
        try:
            self._work()
        except Failure as failure:
            return self._evaluation(failure.verdict, failure.reason)
        return self._evaluation(Verdict.CORRECT, self._summary())

    def _work(self) -> None:
        evaluator, rules = self._evaluator, self._rules
        with self._stage(StageName.STATIC):
            static.check(self._candidate, rules, evaluator.problem.sources)
        self._place = Place(files={**evaluator.files, **self._candidate.sources})
        if rules.build:
            with self._stage(StageName.BUILD) as detail:
                built, log = build(evaluator.sandbox, self._place, rules.build, evaluator.build_seconds)
                self._build = {"log": log[-2000:]}
                if built is None:
                    raise Failure(Verdict.BUILD_FAILED, first_error(log), log=log[-2000:])
                self._place = Place(files=self._place.files, built=built)
                detail["bytes"] = len(built)
        if rules.test:
            with self._stage(StageName.TEST) as detail:
                self._test(detail)
        cases = evaluator.cases.fresh() if self._effort is not Effort.QUICK else evaluator.cases.known()
        with self._stage(StageName.VERIFY) as detail:
            for case in cases:
                self._run(case)
                self._runs += 1
            detail["cases"] = self._runs
        if self._effort is not Effort.VERIFY:
            with self._stage(StageName.MEASURE) as detail:
                self._measure([case for case in cases if case.timed], detail)

    def _test(self, detail: dict[str, Any]) -> None:
        ran = self._start(self._rules.test, b"", self._rules.test_seconds)
        told = (ran.output[-8000:].decode("utf-8", "replace") + "\n" + ran.tail[-4000:]).strip()
        if ran.timed_out:
            raise Failure(Verdict.TIMED_OUT, f"the tests: {ran.stopped}", output=told[-2000:])
        if ran.stopped:
            raise Failure(Verdict.CRASHED, f"the tests: {ran.stopped}", output=told[-2000:])
        detail["status"] = ran.status
        if ran.status != 0:
            reason = f"the tests fail (exit status {ran.status}): {_telling(told)}"
            raise Failure(Verdict.WRONG, reason, output=told[-2000:])

    def _run(self, case: Case) -> float:
        """Run the candidate on a case and compare what it prints; of what is hidden, nothing is told."""
        ran = self._start(self._rules.run, case.data, self._rules.seconds)
        name = f"pair {case.name}" if case.shown else "a hidden input"
        extra = {"output": ran.tail[-2000:]} if case.shown else {}
        if ran.timed_out:
            raise Failure(Verdict.TIMED_OUT, f"on {name}: {ran.stopped}", **extra)
        if ran.status != 0:
            why = ran.stopped or f"exit status {ran.status}"
            last = f": {_telling(ran.tail)}" if case.shown and ran.tail.strip() else ""
            raise Failure(Verdict.CRASHED, f"on {name}: {why}{last}", **extra)
        told = difference(self._rules, case.expected, ran.output)
        if told is not None:
            told = told if case.shown else "what it prints is not what the original prints"
            raise Failure(Verdict.WRONG, f"on {name}: {told}")
        self._checked += 1
        return ran.seconds

    def _start(self, command: str, data: bytes, seconds: float) -> Ran:
        try:
            return run(self._evaluator.sandbox, self._place, command, data, seconds)
        except RunnerError as error:
            raise Failure(Verdict.CRASHED, f"`{command}` could not be started: {error}") from None

    def _measure(self, cases: Sequence[Case], detail: dict[str, Any]) -> None:
        evaluator = self._evaluator

        def seen(count: int, gain: Speedup) -> None:
            evaluator.observe("sample", {"pairs": count, "speedup": to_json({BEFORE: gain})})

        found = sample(
            cases,
            evaluator.time_original,
            self._run,
            self._effort,
            target=self._incumbent.gain if self._incumbent is not None else None,
            deadline=self._deadline,
            observe=seen,
        )
        self._gain = found.gain()
        self._timing = _timing(found)
        detail |= {"pairs": self._gain.pairs, "stopped": found.stopped}

    @contextmanager
    def _stage(self, name: StageName) -> Iterator[dict[str, Any]]:
        detail: dict[str, Any] = {}
        began, passed = time.monotonic(), False
        try:
            yield detail
            passed = True
        except Failure as failure:
            detail |= {"reason": failure.reason, **failure.detail}
            raise
        finally:
            record = StageRecord(name=name, passed=passed, seconds=time.monotonic() - began, detail=detail)
            self._stages.append(record)
            self._evaluator.observe(
                "stage",
                {
                    "candidate": self._candidate.digest,
                    "name": name.value,
                    "passed": passed,
                    "seconds": record.seconds,
                    "detail": to_json(detail),
                },
            )

    def _summary(self) -> str:
        if self._gain is None:
            return f"it prints what the original prints on {self._runs} inputs; not timed"
        gain = self._gain
        sure = "" if statistics.declared_faster(gain) else ", not surely faster"
        return (
            f"right on {self._runs} inputs; {gain.ratio:.3g} times as fast as before "
            f"({gain.low:.3g} to {gain.high:.3g}{sure})"
        )

    def _evaluation(self, verdict: Verdict, reason: str) -> Evaluation:
        evaluator, keep = self._evaluator, verdict is Verdict.CORRECT
        return Evaluation(
            problem=evaluator.problem.name,
            problem_digest=evaluator.problem.digest,
            candidate=self._candidate.digest,
            verdict=verdict,
            reason=reason,
            stages=tuple(self._stages),
            speedup={BEFORE: self._gain if keep else None},
            sandbox=to_json(evaluator.report),
            environment=evaluator.environment,
            timing=self._timing if keep else {},
            errors={"cases": self._runs, "calls_checked_while_timed": max(0, self._checked - self._runs)},
            build=self._build,
            policy=evaluator.policy,
            seconds=time.monotonic() - self._began,
        )


def _timing(found: Samples) -> dict[str, Timing]:
    """Seconds per run of both sides; by case where several are timed."""
    result = {}
    for name in found.before:
        start = f"{name}/" if len(found.before) > 1 else ""
        result[f"{start}{BEFORE}"] = statistics.timing(found.before[name], 1)
        result[f"{start}candidate"] = statistics.timing(found.candidate[name], 1)
    return result


def first_error(log: str) -> str:
    """The line of a compiler's log that says most."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["the build failed and printed nothing"])[0][:_TOLD]


def _telling(text: str) -> str:
    """The line of a test's or a program's output that says most: pytest's summary, else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for start in ("FAILED ", "ERROR ", "E  "):
        for line in lines:
            if line.startswith(start):
                return line[:_TOLD]
    return lines[-1][:_TOLD] if lines else "nothing was printed"
