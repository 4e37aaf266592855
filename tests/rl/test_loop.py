"""The loop with a real store: accounting, incumbents, and resumption after every possible kill."""

from __future__ import annotations

import contextlib

import pytest
from rl_doubles import PROBLEM, Listed, TableJudge, candidate

from kopt.rl.ledger import Ledger
from kopt.rl.loop import Loop
from kopt.rl.offline import Offline
from kopt.rl.strategy import Trial
from kopt.store import RunStatus, Store

NAMES = ["a", "b", "c", "d", "e"]
RATIOS = {"a": 1.2, "b": None, "c": 2.0, "d": 1.5, "e": 1.9}


def trials(names=NAMES, effort="quick"):
    return [Trial(candidate=candidate(n), effort=effort, phase="explore") for n in names]


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path / 'kopt.db'}") as opened:
        yield opened


def new_run(store):
    return store.create_run(PROBLEM, strategy="listed", budget={}, options={})


def work(store, run, judge, *, names=NAMES, limits=None, observer=lambda *_: None, extra=()):
    with store.lease(run) as lease:
        store.set_status(lease, RunStatus.RUNNING)
        ledger = Ledger(limits or {}, spent=store.run(run).spent)
        strategy = Listed([*trials(names), *extra])
        loop = Loop(
            store=store, lease=lease, judge=judge, strategy=strategy, ledger=ledger, observer=observer
        )
        return loop, loop.run()


def table(of, effort):
    return RATIOS[of.notes["title"]]


def test_everything_is_recorded_in_order(store):
    run, judge, seen = new_run(store), TableJudge(table), []
    loop, ended = work(store, run, judge, observer=lambda kind, payload: seen.append(kind))
    assert ended == "the strategy has nothing more to try"
    assert [name for name, _ in judge.calls] == NAMES
    assert judge.incumbents == [None, 1.2, 1.2, 2.0, 2.0]
    assert loop.incumbent.candidate == candidate("c").digest and loop.best is None
    assert [s.number for s in store.evaluations(run)] == [1, 2, 3, 4, 5]
    kinds = [e.kind for e in store.events(run)]
    assert kinds.count("candidate.evaluated") == 5 and kinds.count("incumbent") == 2
    assert seen == ["proposed", "evaluated"] * 5
    assert store.run(run).spent["evaluations"] == 5


def test_the_same_candidate_is_never_evaluated_twice(store):
    run, judge = new_run(store), TableJudge(table)
    work(store, run, judge, names=["a", "b", "a", "c", "a"])
    assert [name for name, _ in judge.calls] == ["a", "b", "c"]


@pytest.mark.parametrize("kill", [1, 2, 3, 5])
def test_resumption_repeats_nothing_and_ends_the_same(store, kill):
    class Killed(BaseException):
        pass

    def die():
        raise Killed

    run = new_run(store)
    first = TableJudge(table, at={kill: die})
    with pytest.raises(Killed):
        work(store, run, first)
    second = TableJudge(table)
    loop, _ = work(store, run, second)
    assert [n for n, _ in second.calls] == NAMES[kill - 1 :]  # only the call in flight is made again
    assert loop.incumbent.candidate == candidate("c").digest
    assert [s.number for s in store.evaluations(run)] == [1, 2, 3, 4, 5]
    assert store.run(run).spent["evaluations"] == 5


def test_a_budget_is_never_exceeded_over_several_sessions(store):
    run = new_run(store)
    judge = TableJudge(table)
    _, ended = work(store, run, judge, limits={"evaluations": 2})
    assert "budget of 2 evaluations" in ended and len(judge.calls) == 2
    _, ended = work(store, run, judge, limits={"evaluations": 2})
    assert len(judge.calls) == 2
    work(store, run, judge, limits={"evaluations": 4})
    assert len(judge.calls) == 4


def test_a_replayed_strategy_sees_the_budget_as_it_was(store):
    """Interrupted with 40 of 58 s spent, the offline strategy explores again and does not jump ahead."""

    def strategy_over(ledger):
        class Source:
            def propose(self):
                return [candidate(n) for n in NAMES]

            def explain(self):
                return []

        return Offline(Source(), lambda *_: None, ledger)

    now = [0.0]

    def slow(of, effort):
        now[0] += 10.0
        return table(of, effort)

    run, calls = new_run(store), []
    for session in range(2):
        with store.lease(run) as lease:
            ledger = Ledger({"seconds": 58.0}, spent=store.run(run).spent, clock=lambda: now[0])
            store.set_status(lease, RunStatus.RUNNING, spent=ledger.spent)
            judge = TableJudge(
                slow, at={5: lambda: (_ for _ in ()).throw(KeyboardInterrupt)} if not session else {}
            )
            loop = Loop(
                store=store, lease=lease, judge=judge, strategy=strategy_over(ledger), ledger=ledger,
                observer=lambda *_: None,
            )  # fmt: skip
            with contextlib.suppress(KeyboardInterrupt):
                loop.run()
            calls.append(judge.calls)
    assert calls[0] == [(name, "quick") for name in NAMES]
    assert calls[1] == [("e", "quick"), ("c", "full")]
    assert store.run(run).spent["seconds"] == 60.0


def test_a_strategy_that_only_repeats_itself_is_stopped(store):
    def forever():
        while True:
            yield trials(["a"])[0]

    run, judge = new_run(store), TableJudge(table)
    with store.lease(run) as lease:
        strategy, ledger = Listed(forever()), Ledger({})
        loop = Loop(
            store=store, lease=lease, judge=judge, strategy=strategy, ledger=ledger, observer=lambda *_: None
        )
        assert "repeats" in loop.run() and len(judge.calls) == 1


def test_a_changed_strategy_keeps_what_was_found(store):
    run = new_run(store)
    work(store, run, TableJudge(table))
    loop, _ = work(store, run, TableJudge(table), names=["d"])
    assert loop.incumbent.candidate == candidate("c").digest


def test_the_winner_is_judged_fully_and_surely_faster(store):
    def ratios(of, effort):
        return {"c": 1.01, "d": 1.4}[of.notes["title"]] if effort == "full" else table(of, effort)

    run = new_run(store)
    loop, _ = work(store, run, TableJudge(ratios), extra=trials(["c"], effort="full"))
    assert loop.best.gain.ratio == 1.01  # the best fully judged one; its interval reaches below 1
    loop, _ = work(store, run, TableJudge(ratios), extra=trials(["c", "d"], effort="full"))
    assert loop.best.candidate == candidate("d").digest
