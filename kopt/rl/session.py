"""One process that works on one run: the loop to its end, the winner kept, what happened told and stored.

What to try is the strategy's business, whether it is right the judge's; what happens when it is interrupted is ours.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kopt.rl.admit import admit_winner, built_artifact
from kopt.rl.ledger import SECONDS, Ledger
from kopt.rl.loop import Loop, Observer
from kopt.rl.models import Models
from kopt.rl.result import RunResult
from kopt.rl.strategies import make_strategy
from kopt.rl.strategy import Effort, is_win
from kopt.rl.winning_patch import save_patch
from kopt.settings import Settings
from kopt.store import Lease, LeaseLost, RunStatus, Store
from kopt.words import Candidate, Evaluation, Problem

if TYPE_CHECKING:
    from kopt.rl.driven.agent import Order
    from kopt.verifiers.code import CodeEvaluator
    from kopt.verifiers.evaluator import Evaluator


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C: everything is persisted, nothing is left running, ``run`` can be resumed."""

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run} was interrupted; `kopt runs resume {run}` continues it")
        self.run = run


_KEPT = {
    "stage": "candidate.stage",
    "model": "model.called",
    "vetoed": "candidate.vetoed",
    "profiled": "candidate.profiled",
    "challenged": "run.challenged",
}
"""What is told by others than the loop and belongs into a run's history."""


class Relay:
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
        """Tell."""
        if self._calls_over and kind in ("model", "vetoed"):
            return
        if self._observer is not None:
            self._observer(kind, payload)
        if kind in _KEPT and self._store is not None:
            store, lease = self._store
            store.append(lease, _KEPT[kind], payload)


@dataclasses.dataclass
class Session:
    """One process working on one run."""

    store: Store
    run: str
    problem: Problem
    evaluator: Evaluator | CodeEvaluator
    ledger: Ledger
    settings: Settings
    observe: Relay
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
            told = tuple(dict.fromkeys(policy.explain()))
            kind = "program" if self.problem.format == "code" else "kernel"
            reason = _summary(loop, ended, best, won, told, kind)
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
            notes=(*notes, *self.models.remarks(), *told),
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
            mutates_inputs=evaluator.mutates_inputs,
            artifact=built_artifact(evaluator, candidate),
            library=self.settings.library,
            run=self.run,
        )
        return entry.name


def _summary(
    loop: Loop, ended: str, best: Evaluation | None, won: bool, told: tuple[str, ...], kind: str
) -> str:
    """Why the run ended as it did, in one line."""
    if won:
        return f"verified a faster {kind}; {ended}"
    if not loop.made:
        return f"nothing to try: {told[-1] if told else ended}"
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
