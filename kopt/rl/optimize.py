"""``optimize``: one problem, one strategy, one budget, from the file to the library.

This module owns what comes before a run (load, lint, record); :mod:`kopt.rl.session` works on it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kopt.errors import UsageError
from kopt.rl.admit import choose_name
from kopt.rl.candidate_file import read_candidate
from kopt.rl.judges import open_judge
from kopt.rl.ledger import DOLLARS, EVALUATIONS, SECONDS, TOKENS, Ledger
from kopt.rl.loop import Observer
from kopt.rl.models import Models
from kopt.rl.problem_file import open_problem
from kopt.rl.result import RunResult
from kopt.rl.session import Relay, RunInterrupted, Session
from kopt.rl.strategies import AGENT, WITH_MODELS, choose_strategy
from kopt.rl.strategy_options import read_options
from kopt.rl.weakness import refuse_weak
from kopt.settings import Settings
from kopt.settings import settings as process_settings
from kopt.store import RunStatus, Store
from kopt.words import Candidate, Policy, Problem, from_json, to_json

if TYPE_CHECKING:
    from kopt.verifiers.code import CodeEvaluator
    from kopt.verifiers.evaluator import Evaluator

__all__ = ["DEFAULT_SECONDS", "RunInterrupted", "optimize", "resume"]

DEFAULT_SECONDS = 120.0


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
        tell = Relay(observer)
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
            session = Session(store, run, problem, evaluator, ledger, settings, tell, team)
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
    tell = Relay(observer)
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
            session = Session(store, record.id, problem, evaluator, ledger, settings, tell, team)
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


@contextlib.contextmanager
def _open_evaluator(
    problem: Problem, sandbox: str, settings: Settings, observer: Observer, policy: Policy | str
) -> Iterator[Evaluator | CodeEvaluator]:
    observer("opening", {"problem": problem.name, "digest": problem.digest})
    with open_judge(
        problem, sandbox=sandbox, settings=settings, observer=observer, policy=policy
    ) as evaluator:
        yield evaluator
