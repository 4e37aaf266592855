"""The loop: ask the strategy, evaluate, persist, tell.

It is the one place where evaluations are accounted for. A trial whose evaluation the store already holds is
answered from there, which is both why nothing is evaluated twice and how a run is resumed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from kopt.rl.ledger import DEVICE_SECONDS, EVALUATIONS, BudgetExhausted, Ledger
from kopt.rl.strategy import Effort, Strategy, Trial, is_win, score
from kopt.store import Event, Lease, Store
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
        replay = _Replay(self._store.events(self._lease.run), self._ledger)
        self._recall()
        repeats = 0
        while (trial := self._strategy.ask()) is not None:
            key = (trial.candidate.digest, trial.effort)
            evaluation = self.made.get(key)
            if evaluation is not None:
                replay.step(key)
                repeats += 1
                if repeats > 2 * len(self.made) + REPEATS:
                    replay.end()
                    return "the strategy only repeats what is known"
            else:
                replay.end()
                repeats = 0
                try:
                    evaluation = self._evaluate(trial)
                except BudgetExhausted as error:
                    return str(error)
            self._strategy.tell(trial, evaluation)
        replay.end()
        return "the strategy has nothing more to try"

    def _recall(self) -> None:
        """Read what earlier sessions of this run have done."""
        for stored in self._store.evaluations(self._lease.run):
            self.made[stored.candidate, stored.effort] = stored.evaluation
            self._numbers[stored.candidate] = stored.number
        if self.made:
            self._observe("recalled", {"evaluations": len(self.made), "incumbent": self.incumbent})

    def _evaluate(self, trial: Trial) -> Evaluation:
        incumbent = self.incumbent if trial.effort == "quick" else None
        with self._ledger.reserve(**{EVALUATIONS: 1, DEVICE_SECONDS: math.inf}) as reservation:
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
            before = self.incumbent
            used = {EVALUATIONS: 1, DEVICE_SECONDS: round(evaluation.seconds, 3)}
            with self._ledger.settling(reservation, **used) as spent:
                self.made[evaluation.candidate, trial.effort] = evaluation
                self._store.save_evaluation(self._lease, evaluation, trial.effort, spent=spent)
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


class _Replay:
    """Shows a resumed strategy the budget as it was at each step of the past, then as it is now.

    A strategy decides by what is left; asked again, it has to see what it saw then.
    """

    def __init__(self, events: Sequence[Event], ledger: Ledger) -> None:
        self._ledger = ledger
        self._spent: dict[tuple[str, str], Mapping[str, float]] = {}
        begun: Mapping[str, float] = {}
        for event in reversed(events):
            if event.kind == "candidate.evaluated":
                self._spent[event.payload["candidate"], event.payload["effort"]] = event.payload["spent"]
            elif event.kind == "run.running":
                begun = event.payload.get("spent") or {}
        self._active = bool(self._spent)
        if self._active:
            ledger.show(begun)

    def step(self, key: tuple[str, str]) -> None:
        """An evaluation of the past is about to be told."""
        if self._active and key in self._spent:
            self._ledger.show(self._spent[key])

    def end(self) -> None:
        """The past has been told: from here on time and evaluations are this session's."""
        if self._active:
            self._active = False
            self._ledger.show(None)


def describe(notes: Mapping[str, Any], proposer: str) -> str:
    """A few words that tell a candidate from its siblings: its title and the tunables it was made with."""
    title = str(notes.get("title") or notes.get("plan") or proposer)
    values = notes.get("tunables")
    if isinstance(values, Mapping):
        title += "".join(f" {name.lower()}={value}" for name, value in values.items())
    return " ".join(title.split())
