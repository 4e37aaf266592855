"""One candidate before the judge: the stages in order, cheapest first, ending at the first that fails."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from kopt.sandbox import BuildResult
from kopt.sandbox.builder import uses_extensions
from kopt.sandbox.runner.toolchains import NO_DEVICES
from kopt.verifiers import interpret, localise, sanitize, static, statistics
from kopt.verifiers import policy as policies
from kopt.verifiers import profile as profiles
from kopt.verifiers.clock import Stretch
from kopt.verifiers.contestant import Contestant, Failure
from kopt.verifiers.measure import Match, ReferenceSide, Side
from kopt.verifiers.sampling import PLANS, Effort, Measured, joined, sample
from kopt.verifiers.verify import Verified, run_cases, verify
from kopt.verifiers.workbench import Workbench
from kopt.words import (
    Candidate,
    Delegation,
    Evaluation,
    Language,
    Localisation,
    Policy,
    Profile,
    Roofline,
    Speedup,
    StageName,
    StageRecord,
    Timing,
    Verdict,
    to_json,
)

if TYPE_CHECKING:
    from kopt.verifiers.evaluator import Evaluator

_TOLD = 0.02


class Trial:
    """Everything about judging one candidate once."""

    def __init__(
        self,
        evaluator: Evaluator,
        candidate: Candidate,
        effort: Effort,
        incumbent: Evaluation | None,
        deadline: float | None,
        *,
        sanitize: bool = False,
        explain: bool = False,
        profile: bool = False,
    ) -> None:
        self.evaluator, self.candidate, self.effort = evaluator, candidate, effort
        self.incumbent, self.deadline = incumbent, deadline
        self.sanitize, self.explain, self.profile = sanitize, explain, profile
        self.stages: list[StageRecord] = []
        self.notes: list[str] = []
        self.build: dict[str, Any] = {}
        self.artifact: bytes | None = None
        self.delegation: Delegation | None = None
        self.verified = Verified()
        self.checked = 0
        self.speedup: dict[str, Speedup | None] = {"eager": None, "compile": None}
        self.timing: dict[str, Timing] = {}
        self.roofline: Roofline | None = None
        self.began = time.monotonic()

    def run(self) -> Evaluation:
        """Judge. Never raises for what the candidate does."""
        verdict, reason = self._judge()
        localised = localise.explain(self) if self.explain and verdict is Verdict.WRONG else None
        found = None
        if self.profile and profiles.wanted(self.candidate, verdict, bool(self.build.get("kernels"))):
            with self._stage(StageName.PROFILE) as detail:
                found = profiles.of_candidate(self)
                detail["bottleneck"] = found.bottleneck.name.value
        return self._evaluation(verdict, reason, localised, found)

    def _judge(self) -> tuple[Verdict, str]:
        """All stages that decide; when this returns, the candidate's processes have ended."""
        try:
            with ExitStack() as keep:
                self._run(keep)
        except Failure as failed:
            failure = sanitize.explained(self, failed) if self.explain else failed
            worst = failure.detail.get("worst")
            if worst is not None:
                self.verified.worst = worst
            return failure.verdict, failure.reason
        return Verdict.CORRECT, ""

    def prepare(self) -> None:
        """Check the text and build, nothing more.

        Raises:
            Failure: it cannot be used.
        """
        self._read()
        self._build()

    def _run(self, keep: ExitStack) -> None:
        self._read()
        self.evaluator.expect(self.effort if self.candidate.language.timed else None)
        self._build()
        if self.candidate.language is Language.CUDA:
            with self._stage(StageName.SMOKE):
                raise Failure(
                    Verdict.REJECTED,
                    f"compiled for {_told(self.build)}, not verified: {NO_DEVICES}; `kopt profile` tells its "
                    "registers, occupancy and machine code",
                )
        if self.candidate.language is Language.TRITON:
            self._interpret(keep)
            return
        if self.candidate.language is Language.TORCH:
            self._trace(self.evaluator.timed[0])
        timed = self.evaluator.timed
        contestants = {}
        with self._stage(StageName.SMOKE) as detail:
            for bench in self.evaluator.smoke:
                self._verify(bench, detail, declared_first=True)
            first = contestants[timed[0].name] = self._enter(keep, timed[0], detail)
            with _clocked(detail, "run"):
                self._call_first(first)
        with self._stage(StageName.VERIFY) as detail:
            for bench in timed:
                if bench.name not in contestants:
                    contestants[bench.name] = self._enter(keep, bench, detail)
                skip = 1 if bench is timed[0] else 0
                with _clocked(detail, "run"):
                    verify(contestants[bench.name], bench.cases, self.verified, skip=skip)
            for bench in self.evaluator.untimed:
                self._verify(bench, detail)
            detail["cases"] = len(self.verified.cases)
            if self.sanitize:
                with _clocked(detail, "sanitizers"):
                    detail |= sanitize.check(self.evaluator, self.candidate, self.artifact)
        if self.effort is Effort.VERIFY:
            self.notes.append("not timed: verification only was asked for")
            return
        with self._stage(StageName.MEASURE) as detail:
            self._measure([(bench, contestants[bench.name]) for bench in timed], detail)

    @contextmanager
    def _stage(self, name: StageName) -> Iterator[dict[str, Any]]:
        detail: dict[str, Any] = {}
        start = time.monotonic()
        self.evaluator.observe("stage", {"name": name.value, "state": "started"})
        passed = True
        try:
            yield detail
        except Failure as failure:
            passed = False
            detail |= to_json({k: v for k, v in failure.detail.items() if v not in (None, "")})
            detail["reason"] = failure.reason
            raise
        finally:
            seconds = time.monotonic() - start
            self.stages.append(StageRecord(name=name, passed=passed, seconds=seconds, detail=detail))
            self.evaluator.observe(
                "stage", {"name": name.value, "state": "passed" if passed else "failed", "seconds": seconds}
            )

    def _read(self) -> None:
        with self._stage(StageName.STATIC) as detail:
            detail["hints"] = static.check(self.candidate)

    def _build(self) -> None:
        with self._stage(StageName.BUILD) as detail:
            self._built(detail)

    def _built(self, detail: dict[str, Any]) -> None:
        candidate = self.candidate
        if candidate.language is Language.TORCH and not uses_extensions(candidate):
            detail["built"] = "nothing to build"
            return
        spec = self.evaluator.specs[0]
        built: BuildResult = self.evaluator.sandbox.builder.build(candidate, spec_json=to_json(spec))
        self.artifact = built.artifact
        self.build = {
            **built.report,  # first: a builder that ran a candidate's code may write anything into it
            "digest": built.digest,
            "cached": built.cached,
            "seconds": built.seconds,
        }
        detail |= {"cached": built.cached, "digest": built.digest, "report": built.report}
        if candidate.language.compiled_for_gpus:
            self.build["target"] = detail["target"] = self.evaluator.sandbox.builder.arch.value
        if not built.ok:
            first = (built.first_error or "the build failed").strip()[:500]
            told = f"{first}; mend the source, --json holds the whole log" if built.log else first
            raise Failure(Verdict.BUILD_FAILED, told, log=built.log)
        if self.evaluator.policy is not Policy.FREE:
            self.delegation = policies.native(built.artifact, candidate.language)
            if candidate.language is not Language.TORCH:  # those are traced first: operators say more
                self._answer_for(self.delegation)

    def _answer_for(self, delegation: Delegation) -> None:
        if delegation.names:
            self.notes.append(f"leaves work to libraries: {policies.told(delegation)}")
        policies.refuse(self.evaluator.policy, delegation, self.candidate)

    def _trace(self, bench: Workbench) -> None:
        """See which library operators a Python candidate calls, in a runner of its own."""
        evaluator = self.evaluator
        if evaluator.policy is Policy.FREE:
            return
        with self._stage(StageName.POLICY) as detail, ExitStack() as brief:
            with _clocked(detail, "prepare cases"):
                assert bench.cases
            with _clocked(detail, "load"):
                contestant = brief.enter_context(
                    evaluator.contestant(bench, self.candidate, self.artifact, withheld=False)
                )
            with _clocked(detail, "run"):
                built = self.delegation or Delegation()
                self.delegation = policies.traced(contestant, built, evaluator.work)
            if self.delegation.names:
                detail["delegated"] = policies.told(self.delegation)
            self._answer_for(self.delegation)

    def _interpret(self, keep: ExitStack) -> None:
        """Triton, compiled ahead of time: run by its interpreter on every workload that is small enough for it."""
        evaluator = self.evaluator
        declared = (*evaluator.smoke, *evaluator.timed)
        benches = [bench for bench in declared if interpret.fits(bench)]
        if benches:
            self._trace(benches[0])
        with self._stage(StageName.SMOKE) as detail:
            if not benches:
                raise Failure(
                    Verdict.REJECTED,
                    f"compiled for {_told(self.build)}; {min(map(interpret.elements, declared))} elements are too "
                    f"many to interpret, and {NO_DEVICES}: make the problem smaller with --set",
                )
            contestant = self._enter(keep, benches[0], detail)
            with _clocked(detail, "run"):
                seconds = self._call_first(contestant)
        with self._stage(StageName.VERIFY) as detail:
            self.verified.left_out = [b.name for b in evaluator.timed if not interpret.fits(b)]
            benches += [bench for bench in evaluator.untimed if interpret.fits(bench)]
            for number, bench in enumerate(benches):
                with ExitStack() as brief:
                    if number:
                        contestant = self._enter(brief, bench, detail)
                    with _clocked(detail, "run"):
                        if number:
                            seconds = self._call_first(contestant)
                        interpret.more(
                            contestant, seconds, interpret.share(number, len(benches)), self.verified
                        )
            detail["cases"] = len(self.verified.cases)
        self.notes += interpret.left_out((*declared, *evaluator.untimed))
        stopped = self.build.get("note")
        if isinstance(stopped, str):
            self.notes.append(" ".join(stopped.split())[:300])
        self.notes.append(f"not timed: {NO_DEVICES}; Triton was interpreted on the CPU, for correctness only")

    def _enter(self, keep: ExitStack, bench: Workbench, detail: dict[str, Any]) -> Contestant:
        with _clocked(detail, "prepare cases"):
            assert bench.cases
        with _clocked(detail, "load"):
            return keep.enter_context(self.evaluator.contestant(bench, self.candidate, self.artifact))

    def _call_first(self, contestant: Contestant) -> float:
        """One declared case before all others; returns the seconds it took with its check."""
        began = time.monotonic()
        cases = contestant.bench.cases
        run_cases(contestant, cases.cases[:1], cases.mutates_inputs, self.verified, "in its first call")
        return time.monotonic() - began

    def _verify(self, bench: Workbench, detail: dict[str, Any], *, declared_first: bool = False) -> None:
        """On a process of its own; of a declared case, which may go first, the values may be told."""
        with ExitStack() as brief:
            contestant = self._enter(brief, bench, detail)
            with _clocked(detail, "run"):
                if declared_first:
                    self._call_first(contestant)
                verify(contestant, bench.cases, self.verified, skip=int(declared_first))

    def _measure(self, pairs: Sequence[tuple[Workbench, Contestant]], detail: dict[str, Any]) -> None:
        parts: dict[str, list[Speedup]] = {"eager": [], "compile": []}
        workloads = {}
        target = self.incumbent.gain if self.incumbent is not None and len(pairs) == 1 else None
        names: list[str] = []
        for bench, contestant in pairs:
            with ExitStack() as keep:
                following = self._following(keep, bench)
                names = names or self._baselines()
                measured = self._sittings(bench, contestant, following, names, target)
            for name, gain in measured.speedup.items():
                parts[name].append(gain)
            self.timing |= _named(measured.timing, bench.name if len(pairs) > 1 else None)
            workloads[bench.name] = {"pairs": measured.pairs, "stopped": measured.stopped}
            if self.effort is Effort.FULL:
                medians = {name: t.median for name, t in measured.timing.items() if name in parts}
                self.evaluator.learn(bench, medians)
            roofline = self.evaluator.roofline(bench, measured)
            if roofline is not None and (self.roofline is None or roofline.percent > self.roofline.percent):
                self.roofline = roofline
        for name, gains in parts.items():
            if len(gains) == len(pairs):
                self.speedup[name] = gains[0] if len(gains) == 1 else statistics.combined(gains)
        detail["workloads"] = workloads

    def _baselines(self) -> list[str]:
        """The same for every workload: those a figure over all of them can be given for."""
        if self.effort is Effort.QUICK:
            return [self.evaluator.better()]
        if self.evaluator.compiled():
            return ["eager", "compile"]
        errors = [bench.compile_error for bench in self.evaluator.timed if bench.compile_error]
        self.notes.extend(f"torch.compile is not timed: {error}" for error in errors[:1])
        return ["eager"]

    def _following(self, keep: ExitStack, bench: Workbench) -> list[Contestant]:
        """The same candidate once more for every sitting after the first: another process, other memory.

        Loaded early, while a baseline may still be compiled, and stopped until its sitting.
        """
        return [
            keep.enter_context(self.evaluator.contestant(bench, self.candidate, self.artifact))
            for _ in range(1, PLANS[self.effort].sittings)
        ]

    def _sittings(
        self,
        bench: Workbench,
        contestant: Contestant,
        following: Sequence[Contestant],
        names: Sequence[str],
        target: Speedup | None,
    ) -> Measured:
        parts = [self._sample(bench, contestant, names, target)]
        for fresh in following:
            contestant.close()
            bench.renew()
            contestant = fresh
            parts.append(self._sample(bench, contestant, names, target))
        measured = joined(parts, "candidate")
        if measured.charged > _TOLD * measured.timing["candidate"].median:
            self.notes.append(
                f"called one by one it takes {measured.charged * 1e6:.0f} us more than in a row: that is counted"
            )
        if contestant.returning:
            measured.timing["candidate"] = self._without_copy(contestant, measured.timing["candidate"])
        return measured

    def _sample(
        self, bench: Workbench, contestant: Contestant, names: Sequence[str], target: Speedup | None
    ) -> Measured:
        sides: dict[str, Side] = {"candidate": contestant}
        for name in names:
            reference = bench.eager if name == "eager" else bench.compile()
            assert reference is not None
            sides[name] = ReferenceSide(reference)
        match = Match(bench, sides)

        def seen(count: int, found: dict[str, Speedup]) -> None:
            self.evaluator.observe(
                "sample", {"workload": bench.name, "pairs": count, "speedup": to_json(found)}
            )

        measured = sample(
            match, "candidate", names, self.effort, target=target, deadline=self.deadline, observe=seen
        )
        self.checked += match.checked
        return measured

    @staticmethod
    def _without_copy(contestant: Contestant, timed: Timing) -> Timing:
        """Advice only: what it would take without copying what is returned. Nothing is checked."""
        contestant.use("no_copy")
        slots = contestant.layout.slots
        empty = min(contestant.empty() for _ in range(3))
        rounds = [contestant.round(Stretch(0, slots), "after it was timed") - empty for _ in range(4)][1:]
        contestant.use("copy")
        per_call = max(min(rounds), 0.0) / slots
        return statistics.timing(timed.samples, timed.calls_per_round, min(per_call, timed.median))

    def _evaluation(
        self, verdict: Verdict, reason: str, localised: Localisation | None, profile: Profile | None
    ) -> Evaluation:
        evaluator = self.evaluator
        keep = verdict is Verdict.CORRECT
        return Evaluation(
            problem=evaluator.problem.name,
            problem_digest=evaluator.problem.digest,
            candidate=self.candidate.digest,
            verdict=verdict,
            reason=reason,
            stages=tuple(self.stages),
            speedup=self.speedup if keep else {"eager": None, "compile": None},
            sandbox=to_json(evaluator.report),
            environment=evaluator.environment,
            timing=self.timing if keep else {},
            worst=self.verified.worst,
            localisation=localised,
            errors={
                "error_over_budget": self.verified.ratio,
                "rms_over_budget": self.verified.rms,
                "cases": self.verified.cases,
                "not_verified": self.verified.left_out,
                "calls_checked_while_timed": self.checked,
            },
            roofline=self.roofline if keep else None,
            build=self.build,
            notes=tuple(self.notes),
            policy=evaluator.policy,
            delegation=self.delegation,
            profile=profile,
            seconds=time.monotonic() - self.began,
        )


@contextmanager
def _clocked(detail: dict[str, Any], part: str) -> Iterator[None]:
    start = time.monotonic()
    try:
        yield
    finally:
        seconds = detail.setdefault("seconds", {})
        seconds[part] = seconds.get(part, 0.0) + time.monotonic() - start


def _named(timing: dict[str, Timing], workload: str | None) -> dict[str, Timing]:
    return timing if workload is None else {f"{workload}/{name}": t for name, t in timing.items()}


def _told(report: dict[str, Any]) -> str:
    arch = report["target"]
    kernels = report.get("kernels")
    registers = report.get("registers")
    if registers is None and isinstance(kernels, (list, tuple)):
        counts = [k.get("registers") for k in kernels if isinstance(k, dict)]
        registers = max((c for c in counts if isinstance(c, int)), default=None)
    told = f"{arch} ({registers} registers)" if registers is not None else str(arch)
    return " ".join(told.split())[:80]
