"""The ledger under every order of events: a state machine that reserves, settles, lies, waits and is killed."""

from __future__ import annotations

import math
import sys
import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from kopt.rl.ledger import BudgetExhausted, Ledger

LIMITS = {"dollars": 10.0, "tokens": 1000.0, "evaluations": 5.0, "device_seconds": 20.0, "seconds": 100.0}
SHARES = st.floats(0.0, 0.7)


class Calls(RuleBasedStateMachine):
    """Calls begin and end in any order; what they used is at most their bound, where they gave one."""

    flying = Bundle("flying")

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.kept: dict[str, float] = {}
        self.used = dict.fromkeys(LIMITS, 0.0)
        self.beyond = dict.fromkeys(LIMITS, 0.0)  # the most a single call took beyond what it was granted
        self.open: set[object] = set()
        self.start()

    def start(self):
        self.ledger = Ledger(LIMITS, spent=self.kept, keep=self.keep, clock=lambda: self.now)

    def keep(self, spent):
        for name, amount in self.kept.items():
            assert spent[name] >= amount, "the record went back"
        self.kept = dict(spent)

    @rule(target=flying, dollars=SHARES, tokens=SHARES, evaluations=st.integers(0, 1))
    def begin(self, dollars, tokens, evaluations):
        wanted = {"dollars": 10 * dollars, "tokens": 1000 * tokens, "evaluations": evaluations}
        return self.reserve(wanted)

    @rule(target=flying, resource=st.sampled_from(["dollars", "device_seconds"]))
    def begin_unbounded(self, resource):
        return self.reserve({resource: math.inf})

    def reserve(self, wanted):
        left = {name: self.ledger.left(name) for name in {*wanted, "seconds"}}
        taken = {name for reservation in self.open for name in reservation.unbounded}
        fits = all(
            left[n] > 0 and (a <= left[n] if math.isfinite(a) else n not in taken)
            for n, a in {"seconds": 0.0, **wanted}.items()
        )
        try:
            reservation = self.ledger.reserve(**wanted)
        except BudgetExhausted:
            assert not fits
            assert {name: self.ledger.left(name) for name in left} == left  # a refusal takes nothing
            return None
        assert fits
        self.open.add(reservation)
        return reservation, {name for name, amount in wanted.items() if math.isinf(amount)}

    @rule(call=consumes(flying), share=st.floats(0.0, 1.0), over=st.floats(1.0, 5.0))
    def end(self, call, share, over):
        if call is None or call[0] not in self.open:
            return
        reservation, unbounded = call
        used = {n: a * (over if n in unbounded else share) for n, a in reservation.amounts.items()}
        for name in unbounded:
            self.beyond[name] = max(self.beyond[name], used[name] - reservation.amounts[name])
        reservation.settle(**used)
        self.open.discard(reservation)
        for name, amount in used.items():
            self.used[name] += amount
        reservation.settle(**used)  # settling twice counts once
        reservation.cancel()

    @rule(call=consumes(flying))
    def fail(self, call):
        if call is not None:
            call[0].cancel()
            self.open.discard(call[0])

    @rule(seconds=st.floats(0.0, 30.0))
    def pass_time(self, seconds):
        self.now += seconds

    @rule()
    def kill(self):
        """Only the calls in flight are lost: a new session goes on with what was kept."""
        self.open.clear()
        self.start()

    @rule(
        spent=st.none() | st.fixed_dictionaries({"dollars": st.floats(0, 20), "seconds": st.floats(0, 200)})
    )
    def show_the_past(self, spent):
        """What a strategy is shown changes no account."""
        before = self.ledger.spent
        self.ledger.show(spent)
        assert self.ledger.spent == before
        self.ledger.show(None)

    @invariant()
    def nothing_is_lost_and_nothing_overspent(self):
        spent = self.ledger.spent
        for name in ("dollars", "tokens", "evaluations", "device_seconds"):
            assert spent.get(name, 0.0) == pytest.approx(self.used[name])
            assert self.used[name] <= LIMITS[name] + self.beyond[name] + 1e-9
            assert self.ledger.left(name) >= 0


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_only_one_call_without_a_bound_flies():
    """Found by the state machine: what a third call gave back went to a second one, and both took more."""
    ledger = Ledger({"dollars": 10})
    bounded, first = ledger.reserve(dollars=5), ledger.reserve(dollars=math.inf)
    bounded.settle(dollars=0)
    with pytest.raises(BudgetExhausted):
        ledger.reserve(dollars=math.inf)
    ledger.reserve(dollars=5).settle(dollars=5)
    first.settle(dollars=8)
    assert ledger.spent["dollars"] == 13  # by what one call took beyond its five


def test_threads_that_wait_use_the_budget_up_and_no_more():
    """Bounds are twice what is used: waiting calls get what others give back, to the last one that fits."""
    kept = []
    ledger, done = Ledger({"tokens": 200}, keep=lambda spent: kept.append(spent["tokens"])), []

    def work():
        while True:
            try:
                with ledger.reserve(wait=30.0, tokens=20) as reservation:
                    reservation.settle(tokens=10)
                    done.append(10)
            except BudgetExhausted:
                return

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(before)
    assert sum(done) == 190  # 10 are left, and the next call might have needed 20
    assert kept == sorted(kept) and kept[-1] == 190


def test_waiting_ends_when_nothing_can_come_back():
    ledger = Ledger({"tokens": 10})
    held = ledger.reserve(tokens=8)
    with pytest.raises(BudgetExhausted):
        ledger.reserve(wait=60, tokens=11)  # it would never fit
    with pytest.raises(BudgetExhausted):
        ledger.reserve(wait=0.05, tokens=5)  # it might, but not in time
    threading.Timer(0.05, held.settle, kwargs={"tokens": 8}).start()
    with pytest.raises(BudgetExhausted):
        ledger.reserve(wait=60, tokens=5)  # what was promised is gone: no use waiting on


def test_amounts_that_are_none_are_refused():
    ledger = Ledger({"tokens": 10})
    for amount in (-1, math.nan):
        with pytest.raises(ValueError):
            ledger.reserve(tokens=amount)
    with pytest.raises(ValueError), ledger.reserve(tokens=1) as held:
        held.settle(tokens=-5)
    with pytest.raises(ValueError):
        ledger.reserve(dollars=math.inf).settle()  # without a limit nobody knows what it was
