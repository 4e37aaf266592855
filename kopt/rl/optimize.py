"""``optimize``: one problem, one strategy, one budget, from the file to the library.

This module owns the order of things (load, lint, run, confirm, admit) and what happens when it is
interrupted. What to try is the strategy's business, whether it is right the judge's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kopt.errors import UsageError
from kopt.rl.admit import admit_winner, built_artifact, choose_name
from kopt.rl.candidate_file import read_candidate
from kopt.rl.judges import open_judge
from kopt.rl.ledger import DOLLARS, EVALUATIONS, SECONDS, TOKENS, Ledger
from kopt.rl.loop import Loop, Observer
from kopt.rl.models import Models
from kopt.rl.problem_file import open_problem
from kopt.rl.result import RunResult
from kopt.rl.strategies import AGENT, WITH_MODELS, choose_strategy, make_strategy
from kopt.rl.strategy import Effort, is_win
from kopt.rl.strategy_options import read_options
from kopt.rl.weakness import refuse_weak
from kopt.rl.winning_patch import save_patch
from kopt.settings import Settings
from kopt.settings import settings as process_settings
from kopt.store import Lease, LeaseLost, RunStatus, Store
from kopt.words import Candidate, Evaluation, Policy, Problem, from_json, to_json

if TYPE_CHECKING:
    from kopt.rl.driven.agent import Order
    from kopt.verifiers.code import CodeEvaluator
    from kopt.verifiers.evaluator import Evaluator

DEFAULT_SECONDS = 120.0


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C: everything is persisted, nothing is left running, ``run`` can be resumed."""

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run} was interrupted; `kopt runs resume {run}` continues it")
        self.run = run


def optimize(
    problem: Problem | str | Path,
    *,
    overrides: Mapping[str, str] | None = None,
    budget_seconds: float | None = DEFAULT_SECONDS,
    budget_evaluations: int | None = None,
    budget_dollars: float | None = None,
    budget_tokens: int | None = None,
    name: str | None = None,
    strategy: str | None = None,
    options: Mapping[str, float] | None = None,
    models: Sequence[str] = (),
    agent: str | None = None,
    candidates: Sequence[Candidate | str | Path] = (),
    prices: Sequence[str] = (),
    allow_weak: bool = False,
    sandbox: str = "auto",
    policy: Policy | str = Policy.ALLOW_LIBRARY,
    settings: Settings | None = None,
    observer: Observer | None = None,
) -> RunResult:
    """Search for a faster kernel, verify it, and admit it to the library; of a code problem, for a faster program.

    The winner of a code problem becomes a git patch.

    Args:
        problem: a problem, or the path or shipped short name of one.
        overrides: module constants to replace, as source text (``{"batch_size": "16"}``).
        budget_seconds: wall time for everything, baselines and confirmation included; None is no limit.
        budget_evaluations: most candidates to evaluate; None is no limit.
        budget_dollars: most to pay for models; every model then needs a price.
        budget_tokens: most tokens to exchange with models.
        name: the kernel's name in the library; the problem's own name when not given.
        strategy: how to search; one of :data:`kopt.rl.strategies.STRATEGIES`. Without one ``refine`` where there are
            models, else ``offline``.
        options: the strategy's own, by name (:data:`kopt.rl.strategy_options.OPTIONS`): ``{"population": 12}``.
        models: who proposes, as ``PROVIDER/NAME`` or ``PROVIDER/NAME@URL``.
        agent: the command line of a coding agent that works on it instead (docs/agents.md).
        candidates: kernels, or their files, whose declared tunables are searched instead (docs/candidates.md).
        prices: ``MODEL=PROMPT,REPLY`` in dollars per million tokens, where no published price is right.
        allow_weak: work on a problem that trivial answers pass.
        sandbox: ``auto``, ``bubblewrap``, ``docker`` or ``none``.
        policy: what candidates may leave to libraries: ``strict``, ``allow-library`` or ``free``.
        settings: where to keep things; the process's when not given.
        observer: gets (kind, payload) as things happen.

    Raises:
        UsageError: the problem cannot be used, is weak, or an argument does not fit.
        SandboxUnavailable: nothing can be isolated on this machine.
        RunInterrupted: Ctrl-C; the run can be resumed.
    """
    settings = settings or process_settings()
    given = [one if isinstance(one, Candidate) else read_candidate(one) for one in candidates]
    chosen = choose_strategy(strategy, models, agent, given)
    tuned = read_options(chosen, options or {})
    budget = _budget(budget_seconds, budget_evaluations, budget_dollars, budget_tokens)
    if agent is not None and budget_evaluations == 1:
        raise UsageError("an agent needs at least 2 evaluations: one to try, one to confirm")
    team = Models.open(models, settings, prices=prices, budget=budget)
    ledger = Ledger(budget)
    problem = open_problem(problem, overrides, code=True)
    kernel = _name(name, problem, chosen, tuned, settings)
    with Store(settings.database_url) as store:
        tell = _Relay(observer)
        with _open_evaluator(problem, sandbox, settings, tell, policy) as evaluator:
            weak = refuse_weak(problem, evaluator, store, allow_weak=allow_weak, observer=tell)
            run = store.create_run(
                problem,
                strategy=chosen,
                budget=budget,
                options={
                    "name": kernel,
                    "allow_weak": allow_weak,
                    "sandbox": sandbox,
                    "policy": str(policy),
                    "strategy": tuned,
                    "budget": budget,
                    **({"agent": agent} if agent else {}),
                    **({"candidates": [to_json(one) for one in given]} if given else {}),
                    **team.options(),
                },
            )
            session = _Session(store, run, problem, evaluator, ledger, settings, tell, team)
            return session.work(chosen, tuned, kernel, notes=weak, agent=agent, given=given)


def resume(
    run: str,
    *,
    budget_seconds: float | None = None,
    budget_evaluations: int | None = None,
    budget_dollars: float | None = None,
    budget_tokens: int | None = None,
    settings: Settings | None = None,
    observer: Observer | None = None,
) -> RunResult:
    """Continue a run that was interrupted, killed or has failed; nothing is evaluated twice.

    Args:
        run: its id, or the beginning of it.
        budget_seconds: a new budget for the whole run; it also lets a finished run go on.
        budget_evaluations: likewise.
        budget_dollars: likewise.
        budget_tokens: likewise.
        settings: where things are kept; the process's when not given.
        observer: gets (kind, payload) as things happen.

    Raises:
        UsageError: there is no such run, it is being worked on, or it is finished and no new budget is given.
        RunInterrupted: Ctrl-C; the run can be resumed again.
    """
    settings = settings or process_settings()
    tell = _Relay(observer)
    with Store(settings.database_url) as store:
        record = store.run(run)
        given = _budget(budget_seconds, budget_evaluations, budget_dollars, budget_tokens)
        more = any(limit is not None for limit in given.values())
        if not record.status.resumable and record.status is not RunStatus.RUNNING and not more:
            raise UsageError(
                f"run {record.id} is {record.status}; to go on, give it a larger budget: "
                f"`kopt runs resume {record.id} --budget-seconds N`"
            )
        budget = dict(record.budget)
        budget.update({name: limit for name, limit in given.items() if limit is not None})
        problem = store.problem(record.problem_digest)
        team = Models.recall(record.options, settings)
        store.lease(record.id).close()  # is anyone at it? Better asked before a sandbox is started
        ledger = Ledger(budget, spent=record.spent, began=record.options.get("budget"))
        policy = str(record.options.get("policy", Policy.ALLOW_LIBRARY))
        sandbox = str(record.options["sandbox"])
        with _open_evaluator(problem, sandbox, settings, tell, policy) as evaluator:
            session = _Session(store, record.id, problem, evaluator, ledger, settings, tell, team)
            return session.work(
                record.strategy,
                record.options.get("strategy", {}),
                str(record.options["name"]),
                budget=budget if more else None,
                agent=record.options.get("agent"),
                given=[from_json(Candidate, one) for one in record.options.get("candidates", ())],
            )


def _name(
    wanted: str | None, problem: Problem, strategy: str, options: Mapping[str, float], settings: Settings
) -> str:
    """The winner's name in the library; none for code problems, whose winners are patches."""
    if problem.format != "code":
        return choose_name(wanted, problem, settings.library)
    if wanted:
        raise UsageError(f"{problem.name} is a code problem, whose winner is a patch: leave --name out")
    if strategy not in WITH_MODELS and strategy != AGENT:
        raise UsageError(
            f"{problem.name} is a code problem, which needs a model: add --model PROVIDER/NAME, or --agent 'COMMAND'"
        )
    if any(options.get(helper) for helper in ("plan", "review", "adversary")):
        raise UsageError(f"{problem.name} is a code problem: leave --plan, --review and --adversary out")
    return ""


def _budget(
    seconds: float | None, evaluations: int | None, dollars: float | None, tokens: int | None
) -> dict[str, float | None]:
    if seconds is not None and not seconds > 0:
        raise UsageError(f"a budget of {seconds:g} seconds buys nothing; give a positive number")
    if evaluations is not None and evaluations < 1:
        raise UsageError(f"a budget of {evaluations} evaluations buys nothing; give at least 1")
    if dollars is not None and not dollars > 0:
        raise UsageError(f"a budget of {dollars:g} dollars buys nothing; give a positive number")
    if tokens is not None and tokens < 1:
        raise UsageError(f"a budget of {tokens} tokens buys nothing; give at least 1")
    return {SECONDS: seconds, EVALUATIONS: evaluations, DOLLARS: dollars, TOKENS: tokens}


_KEPT = {
    "stage": "candidate.stage",
    "model": "model.called",
    "vetoed": "candidate.vetoed",
    "profiled": "candidate.profiled",
    "challenged": "run.challenged",
}
"""What is told by others than the loop and belongs into a run's history."""


class _Relay:
    """Hands what happens to the observer; the judge's stages and calls to models to the store as well."""

    def __init__(self, observer: Observer | None) -> None:
        self._observer = observer
        self._store: tuple[Store, Lease] | None = None
        self._calls_over = False

    def persist(self, store: Store, lease: Lease) -> None:
        """From here on stages belong to a run."""
        self._store = (store, lease)

    def calls_over(self) -> None:
        """Calls to models that nobody waits for any more are not told of when they end."""
        self._calls_over = True

    def __call__(self, kind: str, payload: Mapping[str, Any]) -> None:
        if self._calls_over and kind in ("model", "vetoed"):
            return
        if self._observer is not None:
            self._observer(kind, payload)
        if kind in _KEPT and self._store is not None:
            store, lease = self._store
            store.append(lease, _KEPT[kind], payload)


@contextlib.contextmanager
def _open_evaluator(
    problem: Problem, sandbox: str, settings: Settings, observer: Observer, policy: Policy | str
) -> Iterator[Evaluator | CodeEvaluator]:
    observer("opening", {"problem": problem.name, "digest": problem.digest})
    with open_judge(
        problem, sandbox=sandbox, settings=settings, observer=observer, policy=policy
    ) as evaluator:
        yield evaluator


@dataclasses.dataclass
class _Session:
    """One process working on one run."""

    store: Store
    run: str
    problem: Problem
    evaluator: Evaluator | CodeEvaluator
    ledger: Ledger
    settings: Settings
    observe: _Relay
    models: Models
    explained: bool = False
    """Whether somebody learns from why a candidate failed."""

    def work(
        self,
        strategy: str,
        options: Mapping[str, float],
        kernel: str,
        *,
        notes: tuple[str, ...] = (),
        budget: Mapping[str, float | None] | None = None,
        agent: str | None = None,
        given: Sequence[Candidate] = (),
    ) -> RunResult:
        """Run the loop to its end and admit the winner."""
        with self.store.lease(self.run) as lease:
            if budget is not None:
                self.store.set_budget(lease, budget)
            self.store.set_status(lease, RunStatus.RUNNING, spent=self.ledger.spent)
            self.ledger.keep_with(lambda spent: self.store.save_spending(lease, spent))
            self.observe("run", {"run": self.run, "strategy": strategy, "ledger": self.ledger})
            clients = self.models.clients(self.settings, self.ledger, self.observe)
            order = self._order(agent) if agent else None
            self.explained = bool(clients or agent)
            policy = make_strategy(
                strategy, self.problem, self.evaluator, self.ledger, clients, options, self.run, order, given
            )
            loop = Loop(
                store=self.store,
                lease=lease,
                judge=self._judge,
                strategy=policy,
                ledger=self.ledger,
                observer=self.observe,
            )
            self.observe.persist(self.store, lease)
            try:
                try:
                    ended = loop.run()
                finally:
                    policy.close()
                    self.observe.calls_over()
                    self.ledger.forfeit()
                best, admitted, patch = loop.best, None, None
                won = best is not None and is_win(best)
                if best is not None and won:
                    admitted, patch = self._keep(best, kernel)
            except KeyboardInterrupt:
                best = loop.best
                self.store.set_status(
                    lease,
                    RunStatus.INTERRUPTED,
                    reason="interrupted",
                    best=best.candidate if best else None,
                    spent=self.ledger.spent,
                )
                raise RunInterrupted(self.run) from None
            except LeaseLost:
                raise
            except Exception as error:
                line = (str(error) or type(error).__name__).splitlines()[0]
                self.store.set_status(lease, RunStatus.FAILED, reason=line, spent=self.ledger.spent)
                raise
            remarks = (*notes, *self.models.remarks(), *(() if loop.made and not agent else policy.explain()))
            kind = "program" if self.problem.format == "code" else "kernel"
            reason = _summary(loop, ended, best, won, remarks, kind)
            self.store.set_status(
                lease,
                RunStatus.FINISHED,
                reason=reason,
                best=best.candidate if best else None,
                kernel=admitted,
                spent=self.ledger.spent,
            )
        evaluations = tuple(self.store.evaluations(self.run))
        return RunResult(
            run=self.run,
            problem=self.problem,
            best=best,
            won=won,
            kernel=admitted,
            reason=reason,
            notes=remarks,
            evaluated=len({stored.candidate for stored in evaluations}),
            seconds=self.ledger.spent[SECONDS],
            spent=self.ledger.spent,
            evaluations=evaluations,
            patch=patch,
        )

    def _order(self, command: str) -> Order:
        from kopt.rl.driven.agent import Order

        tried = [stored for stored in self.store.evaluations(self.run) if stored.effort == "quick"]
        past = [self.store.candidate(self.run, one.candidate) for one in tried]
        folder = self.settings.agents / self.run
        return Order(command=command, folder=folder, settings=self.settings, past=past)

    def _judge(self, candidate: Candidate, effort: Effort, incumbent: Evaluation | None) -> Evaluation:
        from kopt.verifiers.sampling import Effort as JudgeEffort

        left = self.ledger.left(SECONDS)
        options: dict[str, Any] = {}
        if self.problem.format != "code":
            options = {"sanitize": effort == "full", "explain": self.explained}
        return self.evaluator.evaluate(
            candidate,
            effort=JudgeEffort(effort),
            incumbent=incumbent,
            deadline=None if math.isinf(left) else time.monotonic() + left,
            **options,
        )

    def _keep(self, best: Evaluation, kernel: str) -> tuple[str | None, Path | None]:
        """Admit a kernel to the library, or write a code problem's patch."""
        candidate = self.store.candidate(self.run, best.candidate)
        if self.problem.format == "code":
            return None, save_patch(self.settings.patches, self.run, self.problem, candidate, best)
        return self._admit(cast("Evaluator", self.evaluator), candidate, best, kernel), None

    def _admit(self, evaluator: Evaluator, candidate: Candidate, best: Evaluation, kernel: str) -> str:
        entry = admit_winner(
            kernel,
            problem=self.problem,
            candidate=candidate,
            evaluation=best,
            specs=evaluator.specs,
            artifact=built_artifact(evaluator, candidate),
            library=self.settings.library,
            run=self.run,
        )
        return entry.name


def _summary(
    loop: Loop, ended: str, best: Evaluation | None, won: bool, remarks: tuple[str, ...], kind: str
) -> str:
    """Why the run ended as it did, in one line."""
    if won:
        return f"verified a faster {kind}; {ended}"
    if not loop.made:
        why = remarks[-1] if remarks else ended
        return f"nothing to try: {why}"
    if best is not None:
        return f"no candidate beats the better baseline with certainty; {ended}"
    return f"no candidate was confirmed correct and faster ({_why(list(loop.made.values()))}); {ended}"


def _why(evaluations: Sequence[Evaluation]) -> str:
    """How candidates failed: every verdict with its count, and the reason given most often."""
    failed = [e for e in evaluations if e.reason]
    if not failed:
        return "none was timed here"
    verdicts = Counter(e.verdict.value for e in failed)
    told = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    reason, _ = Counter(e.reason for e in failed).most_common(1)[0]
    return f"{told}; most often: {reason}"
