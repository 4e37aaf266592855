"""The loop: ask the strategy, evaluate, persist, tell.

It is the one place where evaluations are accounted for. A trial whose evaluation the store already holds is
answered from there, which is both why nothing is evaluated twice and how a run is resumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from kopt.rl.budget import EVALUATIONS, BudgetExhausted, Ledger
from kopt.rl.strategy import Effort, Strategy, Trial, is_win, score
from kopt.store import Lease, Store
from kopt.words import Candidate, Evaluation

Observer = Callable[[str, Mapping[str, Any]], None]
"""Gets (kind, payload) as things happen; must return quickly and not raise."""


REPEATS = 100
"""Known trials in a row, beyond a replay's, after which a strategy is thought to be stuck."""


class Judge(Protocol):
    """What the loop needs of an evaluator."""

    def __call__(self, candidate: Candidate, effort: Effort, incumbent: Evaluation | None) -> Evaluation:
        """Evaluate; never raises for what a candidate does."""


class Loop:
    """One session of work on one run."""

    def __init__(
        self,
        *,
        store: Store,
        lease: Lease,
        judge: Judge,
        strategy: Strategy,
        ledger: Ledger,
        observer: Observer,
    ) -> None:
        self._store = store
        self._lease = lease
        self._judge = judge
        self._strategy = strategy
        self._ledger = ledger
        self._observe = observer
        self.made: dict[tuple[str, str], Evaluation] = {}
        self._numbers: dict[str, int] = {}

    @property
    def incumbent(self) -> Evaluation | None:
        """The fastest correct candidate so far, by its most thorough evaluation."""
        latest = dict(sorted(self.made.items(), key=lambda item: item[0][1] == "full"))
        by_candidate = {candidate: evaluation for (candidate, _), evaluation in latest.items()}
        best = max(by_candidate.values(), key=score, default=None)
        return best if best is not None and score(best) > 0 else None

    @property
    def best(self) -> Evaluation | None:
        """The winner; or, when none was confirmed, the best correct candidate judged with full effort."""
        full = [e for (_, effort), e in self.made.items() if effort == "full" and e.correct]
        wins = [e for e in full if is_win(e)]
        return max(wins or full, key=score, default=None)

    def run(self) -> str:
        """Work until the strategy or the budget ends; return why it ended.

        Raises:
            LeaseLost: another process took the run over.
        """
        spent = dict(self._ledger.spent)
        self._recall()
        repeats = 0
        while (trial := self._strategy.ask()) is not None:
            digest = trial.candidate.digest
            known = self.made.get((digest, trial.effort))
            if known is not None:
                repeats += 1
                if repeats > 2 * len(self.made) + REPEATS:
                    self._forget_replay(spent)
                    return "the strategy only repeats what is known"
                self._ledger.restore(self._spent_at.get((digest, trial.effort), self._ledger.spent))
                self._strategy.tell(trial, known)
                continue
            self._forget_replay(spent)
            try:
                evaluation = self._evaluate(trial)
            except BudgetExhausted as error:
                return str(error)
            repeats = 0
            self._strategy.tell(trial, evaluation)
        self._forget_replay(spent)
        return "the strategy has nothing more to try"

    def _recall(self) -> None:
        """Read what earlier sessions of this run have done."""
        self._spent_at: dict[tuple[str, str], Mapping[str, float]] = {}
        self._replaying = False
        for event in self._store.events(self._lease.run):
            if event.kind == "candidate.evaluated":
                key = (event.payload["candidate"], event.payload["effort"])
                self._spent_at.setdefault(key, event.payload["spent"])
        for stored in self._store.evaluations(self._lease.run):
            self.made[stored.candidate, stored.effort] = stored.evaluation
            self._numbers[stored.candidate] = stored.number
            self._replaying = True
        if self._replaying:
            self._observe("recalled", {"evaluations": len(self.made), "incumbent": self.incumbent})

    def _forget_replay(self, spent: Mapping[str, float]) -> None:
        """The past has been told: from here on time and money are this session's."""
        if self._replaying:
            self._replaying = False
            self._ledger.restore(spent)

    def _evaluate(self, trial: Trial) -> Evaluation:
        incumbent = self.incumbent if trial.effort == "quick" else None
        with self._ledger.reserve(**{EVALUATIONS: 1}) as reservation:
            number = self._store.save_candidate(self._lease, trial.candidate, trial.effort)
            self._numbers[trial.candidate.digest] = number
            announced = {
                "number": number,
                "candidate": trial.candidate,
                "effort": trial.effort,
                "phase": trial.phase,
                "label": trial.label or describe(trial.candidate.notes, trial.candidate.proposer),
            }
            self._observe("proposed", announced)
            started = time.monotonic()
            evaluation = self._judge(trial.candidate, trial.effort, incumbent)
            reservation.settle()
        before = self.incumbent
        self.made[evaluation.candidate, trial.effort] = evaluation
        self._store.save_evaluation(self._lease, evaluation, trial.effort, spent=self._ledger.spent)
        after = self.incumbent
        if after is not None and (before is None or after.candidate != before.candidate):
            payload = {
                "candidate": after.candidate,
                "number": self._numbers[after.candidate],
                "gain": after.gain,
            }
            self._store.append(self._lease, "incumbent", payload)
        self._observe(
            "evaluated",
            {
                **announced,
                "evaluation": evaluation,
                "seconds": time.monotonic() - started,
                "best": after,
                "best_number": self._numbers.get(after.candidate) if after else None,
                "spent": self._ledger.spent,
            },
        )
        return evaluation


def describe(notes: Mapping[str, Any], proposer: str) -> str:
    """A few words that tell a candidate from its siblings: its title and the tunables it was made with."""
    title = str(notes.get("title") or notes.get("plan") or proposer)
    values = notes.get("tunables")
    if isinstance(values, Mapping):
        title += "".join(f" {name.lower()}={value}" for name, value in values.items())
    return " ".join(title.split())
