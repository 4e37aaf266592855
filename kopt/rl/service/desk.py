"""Where the worker answers one request after the other, with the last problem's judge kept warm between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from kopt.errors import UsageError
from kopt.rl.judges import open_judge
from kopt.rl.service import answers, code_desk, profiles
from kopt.rl.service.menu import Menu
from kopt.rl.service.requests import Request, candidate_from
from kopt.rl.strategy import is_win
from kopt.settings import Settings
from kopt.words import Candidate, Evaluation, Problem

if TYPE_CHECKING:
    from kopt.verifiers.code import CodeEvaluator
    from kopt.verifiers.evaluator import Evaluator

Tell = Callable[[Mapping[str, Any]], None]
"""Gets small JSON objects as things happen: ``{"stage": ...}``, ``{"progress": {...}}``."""


class Desk:
    """Answers requests; not safe for several threads. Close it to end what it keeps warm."""

    def __init__(
        self, settings: Settings, sandbox: str, policy: str, tell: Tell, menu: Menu | None = None
    ) -> None:
        self._settings, self._sandbox, self._policy, self._tell = settings, sandbox, policy, tell
        self._menu = menu or Menu()
        self._judge: Evaluator | CodeEvaluator | None = None

    def answer(self, request: Request) -> dict[str, Any]:
        """Do one job.

        Options by kind, each with ``seconds``, what the budget still has or None:

        * ``describe``: none.
        * ``evaluate``: ``effort``, one of verify, quick and full.
        * ``profile``: none; of a candidate, which is verified first, or of the reference where none is given.
        * ``compare``: ``effort``, quick or full; of two candidates the first against the second.
        * ``submit``: ``name`` of the kernel or None. With a candidate, it is judged as for admission and admitted
          if it wins; without, kopt searches, within ``seconds`` and ``evaluations`` (None is no limit).

        A code problem knows ``describe``, ``evaluate`` and ``submit`` of a change, which answers with its patch.

        Raises:
            KoptError: the request cannot be answered; in one line.
        """
        problem = self._menu.load(request.problem, request.overrides)
        code = problem.format == "code"
        candidates = [candidate_from(given, code=code) for given in request.candidates]
        try:
            if code:
                return self._change(problem, candidates, request)
            if request.kind == "describe":
                return answers.description(problem, self._open(problem))
            if request.kind == "evaluate":
                return self._evaluate(problem, candidates[0], request.options)
            if request.kind == "profile":
                return self._profile(problem, candidates, request.options)
            if request.kind == "compare":
                return self._compare(problem, candidates, request.options)
            if candidates:
                return self._admit(problem, candidates[0], request.options)
            return self._search(problem, request.options)
        except BaseException:
            self.close()  # whatever it was, nobody should find it in this state
            raise

    def close(self) -> None:
        """End the warm judge, if there is one."""
        judge, self._judge = self._judge, None
        if judge is not None:
            judge.close()

    def _open(self, problem: Problem, expecting: Candidate | None = None) -> Evaluator:
        return cast("Evaluator", self._open_any(problem, expecting))

    def _open_any(self, problem: Problem, expecting: Candidate | None = None) -> Evaluator | CodeEvaluator:
        warm = self._judge
        if warm is None or warm.problem.digest != problem.digest:
            self.close()
            self._tell({"stage": "opening the problem"})
            self._judge = warm = open_judge(
                problem,
                sandbox=self._sandbox,
                settings=self._settings,
                observer=self._observe,
                expecting=expecting,
                policy=self._policy,
            )
        return warm

    def _change(self, problem: Problem, candidates: list[Candidate], request: Request) -> dict[str, Any]:
        """The same for a code problem.

        Raises:
            UsageError: it has no answer to such a question.
        """
        kind = request.kind
        if kind in ("profile", "compare"):
            raise UsageError(
                f"{problem.name} is a code problem: evaluate changes, each is timed against the original"
            )
        if kind == "submit" and not candidates:
            raise UsageError(
                f"{problem.name} is a code problem: submit a change; kopt's own search needs a model"
            )
        evaluator = cast("CodeEvaluator", self._open_any(problem))
        if kind == "describe":
            return code_desk.description(problem, evaluator)
        from kopt.verifiers.sampling import Effort

        (candidate,) = candidates
        if kind == "evaluate":
            effort = Effort(request.options["effort"])
            return answers.evaluation(
                evaluator.evaluate(candidate, effort=effort, deadline=_deadline(request.options)), ()
            )
        self._refuse_weak(problem, evaluator)
        made = evaluator.evaluate(candidate, effort=Effort.FULL, deadline=_deadline(request.options))
        return code_desk.submitted(problem, candidate, made)

    def _refuse_weak(self, problem: Problem, evaluator: Evaluator | CodeEvaluator) -> None:
        from kopt.rl.weakness import refuse_weak
        from kopt.store import Store

        with Store(self._settings.database_url) as store:
            self._tell({"stage": "lint"})
            refuse_weak(problem, evaluator, store, allow_weak=False, observer=self._observe)

    def _observe(self, kind: str, payload: Mapping[str, Any]) -> None:
        if kind == "stage" and payload.get("state") == "started":
            self._tell({"stage": str(payload["name"])})

    def _judged(
        self,
        problem: Problem,
        candidate: Candidate,
        options: Mapping[str, Any],
        effort: str,
        *,
        sanitize: bool = False,
        profile: bool = False,
    ) -> tuple[Evaluator, Evaluation]:
        from kopt.verifiers.sampling import Effort

        chosen = Effort(effort)
        evaluator = self._open(problem, candidate if chosen is Effort.FULL else None)
        deadline = _deadline(options)
        made = evaluator.evaluate(
            candidate, effort=chosen, deadline=deadline, sanitize=sanitize, explain=True, profile=profile
        )
        return evaluator, made

    def _evaluate(self, problem: Problem, candidate: Candidate, options: Mapping[str, Any]) -> dict[str, Any]:
        evaluator, made = self._judged(problem, candidate, options, options["effort"])
        return answers.evaluation(made, [spec.workload.name for spec in evaluator.specs])

    def _profile(
        self, problem: Problem, candidates: list[Candidate], options: Mapping[str, Any]
    ) -> dict[str, Any]:
        from kopt.verifiers import profile as stage

        if not candidates:
            evaluator = self._open(problem)
            self._tell({"stage": "profile"})
            return {"profile": profiles.profile(stage.of_reference(evaluator))}
        evaluator, made = self._judged(problem, candidates[0], options, "verify", profile=True)
        known = [spec.workload.name for spec in evaluator.specs]
        found = None if made.profile is None else profiles.profile(made.profile)
        return {"profile": found, "evaluation": answers.evaluation(made, known)}

    def _compare(
        self, problem: Problem, candidates: list[Candidate], options: Mapping[str, Any]
    ) -> dict[str, Any]:
        from kopt.verifiers.contestant import Failure
        from kopt.verifiers.sampling import Effort

        if any(not candidate.language.timed for candidate in candidates):
            raise UsageError("only C++ and torch candidates are timed on a CPU; compare those")
        evaluator = self._open(problem)
        self._tell({"stage": "measure"})
        try:
            found = evaluator.race(candidates[0], candidates[1], Effort(options["effort"]))
        except Failure as failure:
            why = f"one of the two is {failure.verdict.value}: {failure.reason}; evaluate each of them"
            return {"compared": False, "reason": answers.line(why)}
        workload = evaluator.specs[0].workload.name
        return {"compared": True, "workload": workload, "candidate_over_against": answers.speedup(found)}

    def _admit(self, problem: Problem, candidate: Candidate, options: Mapping[str, Any]) -> dict[str, Any]:
        from kopt.rl.admit import admit_winner, built_artifact, choose_name

        library = self._settings.library
        name = choose_name(options.get("name"), problem, library)
        self._refuse_weak(problem, self._open(problem, candidate))
        evaluator, made = self._judged(problem, candidate, options, "full", sanitize=True)
        known = [spec.workload.name for spec in evaluator.specs]
        answer = {"won": is_win(made), "kernel": None, "evaluation": answers.evaluation(made, known)}
        if not answer["won"]:
            why = (
                "it is right, but not certainly faster than every baseline"
                if made.correct
                else "it is not right"
            )
            return {**answer, "reason": f"not admitted: {why}"}
        entry = admit_winner(
            name,
            problem=problem,
            candidate=candidate,
            evaluation=made,
            specs=evaluator.specs,
            mutates_inputs=evaluator.mutates_inputs,
            artifact=built_artifact(evaluator, candidate),
            library=library,
        )
        if entry.certificate["candidate"]["digest"] != candidate.digest:
            return {**answer, "reason": f"it wins, but the library's kernel {entry.name} is faster and stays"}
        return {**answer, "kernel": entry.name, "reason": f"admitted as {entry.name}"}

    def _search(self, problem: Problem, options: Mapping[str, Any]) -> dict[str, Any]:
        from kopt.rl.optimize import optimize

        self.close()  # a run opens its own
        evaluated = 0

        def observe(kind: str, payload: Mapping[str, Any]) -> None:
            nonlocal evaluated
            self._observe(kind, payload)
            if kind == "run":
                self._tell({"progress": {"run": payload["run"], "evaluated": 0}})
            if kind == "evaluated":
                evaluated += 1
                progress: dict[str, Any] = {"evaluated": evaluated}
                best = payload.get("best")
                if best is not None and best.gain is not None:
                    progress["best"] = answers.speedup(best.gain)
                self._tell({"progress": progress})

        result = optimize(
            problem,
            budget_seconds=options.get("seconds"),
            budget_evaluations=options.get("evaluations"),
            name=options.get("name"),
            sandbox=self._sandbox,
            policy=self._policy,
            settings=self._settings,
            observer=observe,
        )
        return answers.run(result.document(), result.best, _timed_workloads(result.best))


def _deadline(options: Mapping[str, Any]) -> float | None:
    """Until when a job may take that begins now."""
    seconds = options.get("seconds")
    return time.monotonic() + seconds if seconds is not None else None


def _timed_workloads(made: Evaluation | None) -> list[str]:
    """Those that may be known."""
    stages = made.stages if made is not None else ()
    return [name for stage in stages for name in stage.detail.get("workloads", ())]
