"""The offline strategy: explore, tune, confirm, within the budget, and the same again when replayed."""

from __future__ import annotations

import dataclasses

from rl_doubles import candidate, evaluation

from kopt.rl.ledger import Ledger
from kopt.rl.offline import Offline
from kopt.rl.searching import PATIENCE
from kopt.words import Language, Tunable

TUNABLE = (Tunable(name="WIDTH", choices=(4, 8, 16), default=8),)


class Source:
    def __init__(self, names, tunables=()):
        self.names, self.tunables = names, tunables

    def propose(self):
        return [candidate(name, self.tunables) for name in self.names]

    def explain(self):
        return ["nothing fits"]


class Counting:
    """A search whose n-th instance of `base` is called base-n."""

    def __init__(self, base, most=100):
        self.base, self.most, self.told, self.asked = base, most, [], 0

    def ask(self):
        self.asked += 1
        return candidate(f"{self.base}-{self.asked}") if self.asked <= self.most else None

    def tell(self, one, cost):
        self.told.append(cost)


def play(strategy, ratios, ledger=None):
    """Answer every trial from ratios(title, effort); returns what was asked."""
    asked = []
    while (trial := strategy.ask()) is not None:
        title = trial.candidate.notes["title"]
        asked.append((title, trial.effort, trial.phase))
        if ledger is not None:
            ledger.reserve(evaluations=1).settle()
        strategy.tell(trial, evaluation(trial.candidate, ratios(title, trial.effort)))
    return asked


def test_explore_tune_confirm():
    searches = []

    def tuner(base):
        searches.append(Counting(base.notes["title"]))
        return searches[-1]

    ratios = {"a": 1.1, "b": None, "c": 2.0, "c-3": 2.5}
    strategy = Offline(Source(["a", "b", "c"], TUNABLE), tuner, Ledger({}))
    asked = play(strategy, lambda title, effort: ratios.get(title, 1.0))
    assert asked[:3] == [("a", "quick", "explore"), ("b", "quick", "explore"), ("c", "quick", "explore")]
    assert [s.base for s in searches] == ["c"]  # `a` is too far behind to be tuned
    assert sum(phase == "tune" for *_, phase in asked) == 3 + PATIENCE
    assert searches[0].told[:3] == [1.0, 1.0, 0.4]
    assert asked[-1] == ("c-3", "full", "confirm")


def test_an_unconfirmed_winner_gives_way_to_the_next():
    ratios = {("a", "quick"): 1.8, ("b", "quick"): 1.5, ("c", "quick"): 0.9}
    full = {"a": None, "b": 1.4}
    strategy = Offline(Source(["a", "b", "c"]), lambda *_: Counting("x"), Ledger({}))
    asked = play(strategy, lambda t, e: full[t] if e == "full" else ratios[t, e])
    assert [a[0] for a in asked if a[2] == "confirm"] == ["a", "b"]
    strategy = Offline(Source(["c"]), lambda *_: Counting("x"), Ledger({}))
    assert play(strategy, lambda t, e: 0.9)[-1] == ("c", "full", "confirm")  # losers are told precisely too


def test_a_lucky_measurement_is_not_confirmed_first():
    strategy = Offline(Source(["lucky", "steady"]), lambda *_: Counting("x"), Ledger({}))
    for width in (2.5, 0.1):
        trial = strategy.ask()
        strategy.tell(trial, evaluation(trial.candidate, 3.0 if width > 1 else 2.0, width=width))
    assert strategy.ask().candidate.notes["title"] == "steady"


def test_one_evaluation_is_kept_for_the_confirmation():
    for budget, confirmed in ((1, "a"), (2, "a"), (3, "b")):
        ledger = Ledger({"evaluations": budget})
        strategy = Offline(Source(["a", "b", "c"]), lambda *_: Counting("x"), ledger)
        asked = play(strategy, lambda t, e: {"a": 1.2, "b": 1.5, "c": 3.0}[t], ledger)
        assert len(asked) == budget and asked[-1] == (confirmed, "full", "confirm")


def test_time_is_kept_for_the_confirmation():
    now = [0.0]
    ledger = Ledger({"seconds": 30.0}, clock=lambda: now[0])
    strategy = Offline(Source(list("abcdefghij")), lambda *_: Counting("x"), ledger)
    while (trial := strategy.ask()) is not None:
        if trial.phase == "confirm":
            break
        now[0] += 4.0
        strategy.tell(trial, evaluation(trial.candidate, 1.5, seconds=4.0))
    assert trial is not None and 14.0 <= now[0] <= 20.0


def test_what_cannot_be_timed_here_is_checked_last():
    class Mixed(Source):
        def propose(self):
            triton = dataclasses.replace(candidate("t"), language=Language.TRITON)
            return [triton, candidate("a")]

    strategy = Offline(Mixed([]), lambda *_: Counting("x"), Ledger({}))
    asked = play(strategy, lambda title, effort: 1.5)
    assert asked == [("a", "quick", "explore"), ("a", "full", "confirm"), ("t", "quick", "check")]
    ledger = Ledger({"evaluations": 2})
    assert len(play(Offline(Mixed([]), lambda *_: Counting("x"), ledger), lambda *_: 1.5, ledger)) == 2


def test_nothing_proposed_and_nothing_correct():
    strategy = Offline(Source([]), lambda *_: Counting("x"), Ledger({}))
    assert play(strategy, lambda t, e: 1.0) == [] and strategy.explain() == ["nothing fits"]
    strategy = Offline(Source(["a", "b"], TUNABLE), lambda *_: Counting("x"), Ledger({}))
    assert [a[2] for a in play(strategy, lambda t, e: None)] == ["explore", "explore"]


def test_the_same_evaluations_give_the_same_trials():
    def run():
        strategy = Offline(Source(["a", "c"], TUNABLE), lambda b: Counting(b.notes["title"], 20), Ledger({}))
        return play(strategy, lambda title, effort: 1.0 + len(title) / 10)

    assert run() == run()
