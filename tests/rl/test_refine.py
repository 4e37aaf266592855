"""The refine strategy in the real loop: models take turns, bad ones are left out, money that is gone ends it well."""

from __future__ import annotations

import pytest
from rl_doubles import PROBLEM, TableJudge, candidate

from kopt.agents.chat.errors import BadKey
from kopt.agents.context import Context
from kopt.rl.ledger import BudgetExhausted, Ledger
from kopt.rl.loop import Loop
from kopt.rl.refine import FRUITLESS, Refine
from kopt.rl.team import Team
from kopt.store import Store


class Player:
    """A proposer that plays a list of names (None: nothing this time) and errors; its last item repeats."""

    def __init__(self, name, *script):
        self.name, self.script, self.contexts = name, list(script), []

    def propose(self, context):
        self.contexts.append(context)
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(said, Exception):
            raise said
        if said is not None:
            yield candidate(said)

    def explain(self):
        return [f"{self.name} was asked {len(self.contexts)} times"]


def work(tmp_path, ratios, *team, limits=None, refused=()):
    def ratio(of, effort):
        return None if (of.notes["title"], effort) in refused else ratios[of.notes["title"]]

    ledger, judge = Ledger(limits or {}), TableJudge(ratio)

    def describe(history, best):
        return Context(problem=PROBLEM, history=tuple(history), incumbent=best)

    strategy = Refine(Team(team, describe), ledger)
    with Store(f"sqlite:///{tmp_path / 'kopt.db'}") as store:
        run = store.create_run(PROBLEM, strategy="refine", budget={}, options={})
        with store.lease(run) as lease:
            loop = Loop(
                store=store,
                lease=lease,
                judge=judge,
                strategy=strategy,
                ledger=ledger,
                observer=lambda *_: None,
            )
            loop.run()
    return loop, judge, strategy


def test_it_repairs_improves_and_confirms(tmp_path):
    one = Player("one", "broken", "better", None)
    two = Player("two", "right", "worse", None)
    ratios = {"broken": None, "right": 1.1, "better": 1.5, "worse": 1.2}
    loop, judge, _ = work(tmp_path, ratios, one, two)
    tried = [("broken", "quick"), ("right", "quick"), ("better", "quick"), ("worse", "quick")]
    assert judge.calls == [*tried, ("better", "full")]
    assert loop.best.candidate == candidate("better").digest
    last = two.contexts[1]  # the models share one history
    assert [c.notes["title"] for c, _ in last.history] == ["broken", "right", "better"]
    assert last.incumbent[0].notes["title"] == "better"
    assert len(one.contexts) + len(two.contexts) == 3 + FRUITLESS


def test_what_the_confirmation_refuses_gets_one_turn_of_repair_and_then_the_next_best_its_chance(tmp_path):
    ratios = {"fast": 2.0, "mended": 1.8, "plain": 1.5}
    player = Player("one", "plain", "fast", *[None] * FRUITLESS, "mended")
    loop, judge, _ = work(tmp_path, ratios, player, refused={("fast", "full")})
    assert judge.calls[2:] == [("fast", "full"), ("mended", "full")]
    assert loop.best.candidate == candidate("mended").digest
    role, parent = player.contexts[-1].wanted.role, player.contexts[-1].wanted.parent
    assert role == "repairer" and parent[0] == candidate("fast") and "off" in parent[1].reason

    (tmp_path / "again").mkdir()
    player = Player("one", "plain", "fast", *[None] * FRUITLESS, "mended", "more")
    refused = {("fast", "full"), ("mended", "full")}
    loop, judge, _ = work(tmp_path / "again", ratios, player, refused=refused)
    assert judge.calls[2:] == [("fast", "full"), ("mended", "full"), ("plain", "full")]
    assert loop.best.candidate == candidate("plain").digest


def test_a_model_that_cannot_be_used_is_left_out(tmp_path):
    bad, good = Player("bad", BadKey("no key for bad")), Player("good", "a", None)
    loop, _, strategy = work(tmp_path, {"a": 1.5}, bad, good)
    assert loop.best.candidate == candidate("a").digest and len(bad.contexts) == 1
    assert "no key for bad" in strategy.explain()
    loop, judge, strategy = work(tmp_path, {}, Player("bad", BadKey("no key for bad")))
    assert judge.calls == [] and strategy.explain()[-1] == "no key for bad"


def test_money_that_is_gone_ends_the_search_and_not_the_run(tmp_path):
    team = Player("one", "a", BudgetExhausted("the budget of 1 dollars is spent"))
    loop, judge, strategy = work(tmp_path, {"a": 1.5}, team)
    assert judge.calls == [("a", "quick"), ("a", "full")] and loop.best is not None
    assert "dollars" in strategy.explain()[-1]


@pytest.mark.parametrize(("most", "calls"), [(1, [("a", "full")]), (2, [("a", "quick"), ("a", "full")])])
def test_few_evaluations_leave_one_for_the_confirmation(tmp_path, most, calls):
    _, judge, _ = work(tmp_path, {"a": 1.5, "b": 2.0}, Player("one", "a", "b"), limits={"evaluations": most})
    assert judge.calls == calls
