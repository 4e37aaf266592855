"""The ledger: nothing overspends, wall time runs by itself, a resumed run goes on where it was."""

from __future__ import annotations

import threading

import pytest
from rl_doubles import PROBLEM

from kopt.rl.ledger import BudgetExhausted, Ledger
from kopt.store import Store


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_reservations_are_promises():
    ledger = Ledger({"evaluations": 2, "dollars": 1.0, "seconds": None})
    with ledger.reserve(evaluations=1, dollars=0.6) as first:
        with pytest.raises(BudgetExhausted, match="1 dollars"):
            ledger.reserve(evaluations=1, dollars=0.6)
        assert ledger.left("evaluations") == 1  # a refused reservation takes nothing
        first.settle(evaluations=1, dollars=0.2)
    assert ledger.left("dollars") == pytest.approx(0.8) and ledger.spent["evaluations"] == 1
    with ledger.reserve(evaluations=1):
        pass  # the call never happened
    assert ledger.left("evaluations") == 1
    ledger.reserve(evaluations=1).settle()
    assert ledger.exhausted == "evaluations"
    with pytest.raises(BudgetExhausted):
        ledger.reserve(evaluations=1)


def test_wall_time_and_resumption():
    clock = Clock()
    ledger = Ledger({"seconds": 10.0}, spent={"seconds": 4.0, "evaluations": 3}, clock=clock)
    clock.now = 5.0
    assert ledger.spent == {"seconds": 9.0, "evaluations": 3} and ledger.left("seconds") == 1.0
    assert ledger.left("evaluations") == float("inf")
    clock.now = 7.0
    assert ledger.exhausted == "seconds" and ledger.left("seconds") == 0.0
    with pytest.raises(BudgetExhausted):
        ledger.reserve(evaluations=1)
    ledger.show({"seconds": 1.0})  # a strategy is asked about the past; the accounts stay as they are
    assert ledger.left("seconds") == 9.0 and ledger.spent["seconds"] == 11.0
    ledger.show(None)
    assert ledger.left("seconds") == 0.0


def test_threads_cannot_overspend_together():
    ledger, granted = Ledger({"evaluations": 50}), []

    def spend() -> None:
        for _ in range(40):
            try:
                ledger.reserve(evaluations=1).settle()
                granted.append(1)
            except BudgetExhausted:
                return

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 50


def test_what_models_cost_survives_a_kill(tmp_path):
    """Every settlement reaches the store; a session begun after kill -9 goes on from there."""
    with Store(f"sqlite:///{tmp_path / 'kopt.db'}") as store:
        run = store.create_run(PROBLEM, strategy="listed", budget={}, options={})
        with store.lease(run) as lease:
            ledger = Ledger({"dollars": 1.0}, keep=lambda spent: store.save_spending(lease, spent))
            ledger.reserve(dollars=0.5, tokens=900).settle(dollars=0.4, tokens=700)
            with pytest.raises(KeyboardInterrupt), ledger.reserve(dollars=0.5):
                raise KeyboardInterrupt
        spent = store.run(run).spent
        assert spent["dollars"] == 0.4 and spent["tokens"] == 700
        assert Ledger({"dollars": 1.0}, spent=spent).left("dollars") == pytest.approx(0.6)
        assert [e.payload["spent"]["tokens"] for e in store.events(run) if e.kind == "run.spent"] == [700]
