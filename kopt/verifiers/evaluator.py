"""The judge's front door: one problem, one sandbox, everything that can stay warm between candidates.

The evaluator owns resources (sandbox, workbenches, baselines, peaks); :mod:`kopt.verifiers.trial` owns the
stages.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from kopt.errors import ProblemError
from kopt.sandbox import IsolationReport, RunnerHandle, Sandbox, open_sandbox
from kopt.settings import Settings
from kopt.settings import settings as default_settings
from kopt.verifiers import policy as policies
from kopt.verifiers import profile as profiles
from kopt.verifiers import roofline as rooflines
from kopt.verifiers import statistics
from kopt.verifiers.baselines import Baselines
from kopt.verifiers.contestant import Contestant, Failure
from kopt.verifiers.measure import Match, ReferenceSide, Side
from kopt.verifiers.reference import Reference
from kopt.verifiers.roofline import Peaks
from kopt.verifiers.sampling import Effort, Measured, joined, sample
from kopt.verifiers.trial import Trial
from kopt.verifiers.workbench import Workbench
from kopt.words import (
    Candidate,
    Evaluation,
    Language,
    Policy,
    Problem,
    Roofline,
    Speedup,
    Workload,
    WorkloadSpec,
)

_SMALL = 16 << 20
_FAR = 1.5


class Evaluator:
    """Judges candidates for one problem. A context manager.

    ``sandbox``, a kind of one or an open one, is closed with the evaluator. ``policy`` says what candidates may
    leave to libraries (docs/policies.md). ``expecting`` names the candidate that will come first, with full
    effort: it is built, and the reference compiled, while the problem is opened.

    Raises on construction:
        ProblemError: the problem cannot be judged.
        SandboxUnavailable: nothing here can isolate.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        sandbox: str | Sandbox = "auto",
        settings: Settings | None = None,
        observer: Callable[[str, dict[str, Any]], None] | None = None,
        expecting: Candidate | None = None,
        policy: Policy | str = Policy.ALLOW_LIBRARY,
    ) -> None:
        self.problem = problem
        self.policy = Policy(policy)
        self.settings = settings or default_settings()
        self.observer = observer
        self.sandbox = open_sandbox(sandbox, settings=self.settings)
        self._benches: list[Workbench] = []
        self._untimed: list[Workbench] | None = None
        self._smoke: list[Workbench] | None = None
        self._peaks: Peaks | None = None
        self._work: policies.Work | None = None
        self.profiled = profiles.Known()
        if expecting is not None:
            self.sandbox.expect(expecting)
        try:
            self._open(self.sandbox.compiler())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, compiler: Future[RunnerHandle] | None) -> None:
        first = Reference(self.problem, self.sandbox)
        self.environment: dict[str, Any] = dict(self.sandbox.environment)
        self.known = Baselines(self.problem, self.environment, self.settings)
        self.seed = secrets.randbits(31)
        self.workloads = first.workloads
        public = [w for w in first.workloads if not w.held_out] or list(first.workloads)
        reference: Reference | None = first
        try:
            self.timed: list[Workbench] = []
            for workload in public:
                taken, reference = reference, None
                ahead, compiler = compiler, None
                self.timed.append(self._bench(workload, reference=taken, compiler=ahead))
        finally:
            if reference is not None:
                reference.close()

    def _bench(
        self,
        workload: Workload,
        *,
        reference: Reference | None = None,
        compiler: Future[RunnerHandle] | None = None,
        **options: Any,
    ) -> Workbench:
        seed = options.pop("seed", self.seed)
        cache = None if options else self.known.compile_cache(workload.name)
        bench = Workbench(
            self.problem,
            self.sandbox,
            workload,
            seed=seed,
            reference=reference,
            cache=cache,
            compiler=compiler,
            **options,
        )
        self._benches.append(bench)
        return bench

    @property
    def specs(self) -> tuple[WorkloadSpec, ...]:
        """The workloads candidates may know of."""
        return tuple(bench.spec for bench in self.timed)

    @property
    def report(self) -> IsolationReport:
        """Which layers of isolation hold."""
        return self.sandbox.report

    @property
    def untimed(self) -> list[Workbench]:
        """Workloads that are verified only: held-out shapes, and other parameters where they are cheap."""
        if self._untimed is None:
            self._untimed = [self._bench(w, brief=True) for w in self.workloads if w.held_out]
            first = self.timed[0]
            if first.state is not None and first.state[1].size <= _SMALL and first.slot_bytes <= _SMALL:
                self._untimed.append(self._bench(first.workload, brief=True, seed=secrets.randbits(31)))
        return self._untimed

    def join(self, problem: Problem, workload: Workload) -> None:
        """Verify on a workload of another problem as well from now on: the same reference, other inputs.

        Raises:
            ProblemError: the reference does not hold there; nothing has changed.
        """
        bench = Workbench(problem, self.sandbox, workload, seed=secrets.randbits(31), brief=True)
        try:
            if not bench.cases.cases:
                raise ProblemError("the reference holds on none of these inputs", path=problem.path)
        except BaseException:
            bench.close()
            raise
        self._benches.append(bench)
        self.untimed.append(bench)

    @property
    def smoke(self) -> list[Workbench]:
        """The first workload in tiny shapes, where the problem's format has them."""
        if self._smoke is None:
            self._smoke = []
            if self.problem.format == "kopt":
                bench = self._bench(self.timed[0].workload, smoke=True)
                if bench.spec.outputs != self.timed[0].spec.outputs:
                    self._smoke.append(bench)
        return self._smoke

    def observe(self, event: str, detail: dict[str, Any]) -> None:
        """Tell whoever watches."""
        if self.observer is not None:
            self.observer(event, detail)

    def invoke(self, target: str, args: Mapping[str, Any] | None = None, workload: int = 0) -> dict[str, Any]:
        """Call one of kopt's own functions beside the reference of a timed workload."""
        reply = self.timed[workload].eager.ask("invoke", {"target": target, "args": dict(args or {})})
        result = reply.get("result")
        return result if isinstance(result, dict) else {"result": result}

    def expect(self, effort: Effort | None) -> None:
        """Begin in the background what this effort will need."""
        quick = effort is Effort.QUICK and (self._unmeasured() or self.known.better() == "compile")
        if effort is Effort.FULL or quick:
            for bench in self.timed:
                bench.start_compiling()

    def _unmeasured(self) -> list[Workbench]:
        return [bench for bench in self.timed if not self.known.known(bench.name)]

    @property
    def work(self) -> policies.Work:
        """What the reference's operators move and compute on the first timed workload, traced once."""
        if self._work is None:
            self._work = policies.work_of(self.timed[0].eager)
        return self._work

    def contestant(
        self,
        bench: Workbench,
        candidate: Candidate,
        artifact: bytes | None,
        *,
        withheld: bool = True,
    ) -> Contestant:
        """Load a candidate in a fresh process on a workbench; ``strict`` withholds the library from it."""
        native = candidate.language not in (Language.TORCH, Language.TRITON)
        strict = withheld and self.policy is Policy.STRICT and not native
        return Contestant(
            self.sandbox,
            bench,
            candidate,
            artifact,
            self.settings.call_seconds,
            self.work.moves_only if strict else None,
        )

    def evaluate(
        self,
        candidate: Candidate,
        *,
        effort: Effort = Effort.FULL,
        incumbent: Evaluation | None = None,
        deadline: float | None = None,
        sanitize: bool = False,
        explain: bool = False,
        profile: bool = False,
    ) -> Evaluation:
        """Judge one candidate; never raises for what it does. ``deadline`` is in ``time.monotonic`` seconds.

        ``sanitize``: C++ that passed verification is run under sanitizers as well, which takes some seconds.
        ``explain``: C++ that crashed is, to find the line; a wrong output is compared with the reference's steps.
        ``profile``: what is right is profiled afterwards.

        Raises:
            ProblemError: the reference cannot be judged or stopped working.
        """
        return Trial(
            self,
            candidate,
            Effort(effort),
            incumbent,
            deadline,
            sanitize=sanitize,
            explain=explain,
            profile=profile,
        ).run()

    def race(self, candidate: Candidate, against: Candidate, effort: Effort = Effort.FULL) -> Speedup:
        """How much faster ``candidate`` is than ``against``: both as candidates, paired, first workload.

        Raises:
            Failure: one of them cannot be built, is wrong, or works ahead.
        """
        bench = self.timed[0]
        artifacts = []
        for one in (candidate, against):
            trial = Trial(self, one, effort, None, None)
            trial.prepare()
            artifacts.append(trial.artifact)
        entries = [("candidate", candidate, artifacts[0]), ("against", against, artifacts[1])]
        sittings = []
        for order in (entries, entries[::-1]):
            # Twice, in fresh processes and on each other's rings: the memory behind one ring can be some per cent
            # faster than that behind another, for as long as it lasts. What was given back last is borrowed first.
            with ExitStack() as keep:
                sides = {
                    name: keep.enter_context(self.contestant(bench, one, artifact))
                    for name, one, artifact in order
                }
                sittings.append(sample(Match(bench, sides), "candidate", ["against"], effort))
        return joined(sittings, "candidate").speedup["against"]

    def better(self) -> str:
        """The baseline that is faster over all timed workloads, measured now if it is not known."""
        self._measure_unmeasured()
        return "compile" if self.known.better() == "compile" and self.compiled() else "eager"

    def compiled(self) -> bool:
        """Whether ``torch.compile`` takes every timed workload; when this returns, nothing compiles any more."""
        return all([bench.compile() is not None for bench in self.timed])

    def _measure_unmeasured(self) -> None:
        lacking = self._unmeasured()
        if lacking:
            self.compiled()  # all of them, before the first is timed
        for bench in lacking:
            self._measure_baselines(bench)

    def _measure_baselines(self, bench: Workbench) -> None:
        assert bench.cases
        sides: dict[str, Side] = {"eager": ReferenceSide(bench.eager)}
        compiled = bench.compile()
        if compiled is not None:
            sides["compile"] = ReferenceSide(compiled)
        match = Match(bench, sides)
        match.warm()
        while len(match.full["eager"]) < statistics.LEAST and not _far_apart(list(match.full.values())):
            match.iterate()
        self.learn(bench, {name: statistics.interval(values)[0] for name, values in match.full.items()})

    def learn(self, bench: Workbench, medians: Mapping[str, float | None]) -> None:
        """Keep the baselines' medians."""
        notes = {"compile": bench.compile_error} if bench.compile_error else {}
        self.known.record(bench.name, medians, notes)

    def baselines(self) -> dict[str, float]:
        """Median seconds per call of each implementation that runs here; measured once per machine."""
        self._measure_unmeasured()
        return self.known.combined()

    @property
    def mutates_inputs(self) -> bool:
        """Whether the reference changes its inputs."""
        return any(bench.cases.mutates_inputs for bench in self.timed)

    @property
    def peaks(self) -> Peaks | None:
        """This machine's bandwidth and arithmetic peaks, measured once and kept."""
        if self._peaks is None:
            self._peaks = Peaks.of(self.sandbox, self.settings, self.environment)
        return self._peaks

    def measure_peaks_again(self) -> Peaks:
        """Measure the peaks anew and keep the higher figures."""
        self._peaks = Peaks.again(self.sandbox, self.settings, self.environment, self._peaks)
        return self._peaks

    def roofline(self, bench: Workbench, measured: Measured) -> Roofline | None:
        """How near the bound a measured candidate comes.

        Raises:
            Failure: ``tampered``, when it is faster than this machine allows and the reference is not.
        """
        return rooflines.judge(self, bench, measured)

    def close(self) -> None:
        """End every process, free all memory."""
        for bench in self._benches:
            bench.close()
        self._benches.clear()
        self.sandbox.close()


def _far_apart(books: list[list[float]]) -> bool:
    """Whether three rounds of each leave no doubt which baseline is faster: a slow one takes a minute for eight."""
    one, *others = books
    if len(one) < 3 or not others:
        return False
    return all(max(one) * _FAR < min(other) or max(other) * _FAR < min(one) for other in others)


__all__ = ["Evaluator", "Failure"]
