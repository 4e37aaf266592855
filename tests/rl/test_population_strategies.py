"""best-of-n, beam and evolve in the real loop: what they try, that they resume, and what they mind."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from itertools import pairwise

import pytest
from rl_doubles import PROBLEM, TableJudge, candidate

from kopt.agents.bill import charge
from kopt.agents.chat.errors import BadKey
from kopt.agents.context import Context, Cost
from kopt.agents.tuner import Tuner
from kopt.rl.beam import Beam
from kopt.rl.best_of_n import BestOfN
from kopt.rl.evolve import Breeding, Evolve
from kopt.rl.ledger import BudgetExhausted, Ledger
from kopt.rl.loop import Loop
from kopt.rl.team import Team
from kopt.store import Store
from kopt.words.source_file import candidate_of

pytestmark = pytest.mark.needs("tree_sitter")


def program(name):
    return dataclasses.replace(candidate(name), sources={"k.cpp": f"int {name.replace('!', '_bad')};"})


class Climber:
    """A double of a model: a parent ``w3ab`` becomes ``w3abc``; every third of what it makes is broken (``!``)."""

    def __init__(self, name, dollars=0.01, breaks=3, only=None):
        self.name, self.asked = name, []
        self._dollars, self._breaks, self._only = dollars, breaks, only

    def propose(self, context):
        wanted = context.wanted
        self.asked.append(
            (wanted.role, wanted.parent[0].notes["title"] if wanted.parent else None, context.sample)
        )
        charge(Cost(self._dollars, 1.0))
        number = len(self.asked)
        if self._only:
            yield program(self._only)
            return
        title = f"{self.name}{number}" if wanted.parent is None else wanted.parent[0].notes["title"]
        if wanted.role == "repairer":
            yield program(title.replace("!", "") + f"r{number}")
            return
        if wanted.role == "optimiser":
            title += "abcdefgh"[number % 8]
        yield program(title + ("!" if number % self._breaks == 0 else ""))

    def explain(self):
        return []


def ratio(of, effort):
    title = of.notes["title"]
    return None if "!" in title else 1.0 + 0.1 * sum(title.count(letter) for letter in "abcdefgh")


MADE = {
    "best-of-n": lambda team, ledger: BestOfN(team, ledger),
    "beam": lambda team, ledger: Beam(team, ledger, width=2, branch=2),
    "evolve": lambda team, ledger: Evolve(team, ledger, Breeding(patience=1000, seed=3)),
}


def tell(history, best):
    return Context(problem=PROBLEM, history=tuple(history), incumbent=best)


def team():
    return [Climber("w"), Climber("v", dollars=0.05, breaks=4)]


def session(store, run, name, judge, members, limits, in_flight=1):
    with store.lease(run) as lease:
        ledger = Ledger(limits, spent=store.run(run).spent, began={"evaluations": 24})
        make, asked = MADE[name] if isinstance(name, str) else name, Team(members, tell, in_flight=in_flight)
        strategy = make(asked, ledger)
        loop = Loop(
            store=store, lease=lease, judge=judge, strategy=strategy, ledger=ledger, observer=lambda *_: None
        )
        return loop, loop.run(), strategy


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path / 'kopt.db'}") as opened:
        yield opened


def new_run(store):
    return store.create_run(PROBLEM, strategy="any", budget={}, options={})


class Killed(BaseException):
    """Ends a session as kill -9 would: nobody handles it."""


def goes_on_after(kill, store, name, members, in_flight=1):
    """A run that dies at its evaluation ``kill`` and is resumed tries what one does that lives; how many that are."""

    def die():
        raise Killed

    limits, whole = {"evaluations": 24}, TableJudge(ratio)
    session(store, new_run(store), name, whole, members(), limits, in_flight)
    assert whole.calls[-1][1] == "full"
    run = new_run(store)
    first, second = TableJudge(ratio, at={kill: die}), TableJudge(ratio)
    with contextlib.suppress(Killed):
        session(store, run, name, first, members(), limits, in_flight)
    loop, _, _ = session(store, run, name, second, members(), limits, in_flight)
    assert first.calls[:-1] + second.calls == whole.calls
    assert loop.best is not None
    return len(whole.calls)


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("kill", [1, 4, 13])
def test_a_killed_run_goes_on_as_if_nothing_had_been(store, name, kill):
    assert goes_on_after(kill, store, name, team) > 13


def test_more_budget_changes_nothing_of_the_past(store):
    """Prices are shares of the budget the run began with. One evaluation in twenty is kept for the next best."""
    run, first, second = new_run(store), TableJudge(ratio), TableJudge(ratio)
    session(store, run, "evolve", first, team(), {"evaluations": 24})
    session(store, run, "evolve", second, team(), {"evaluations": 40})
    assert len(second.calls) == 15 and not set(second.calls) & set(first.calls[:-1])


def test_best_of_n_tells_nobody_of_anything(store):
    one, two = members = team()
    judge = TableJudge(ratio)
    session(store, new_run(store), lambda t, ledger: BestOfN(t, ledger, samples=6), judge, members, {})
    assert one.asked == [("writer", None, i) for i in range(3)] == two.asked
    assert [effort for _, effort in judge.calls].count("quick") == 6


def test_a_model_without_other_answers_ends_best_of_n(store):
    same, judge = Climber("w", only="same"), TableJudge(ratio)
    session(store, new_run(store), "best-of-n", judge, [same], {})
    assert judge.calls == [("same", "quick"), ("same", "full")] and len(same.asked) == 9


def test_beam_goes_on_with_the_best_and_ends_when_dry(store):
    judge, members = TableJudge(lambda of, effort: min(1.3, ratio(of, effort) or 0) or None), team()
    _, ended, _ = session(store, new_run(store), "beam", judge, members, {})
    assert "nothing more" in ended
    level = [asked for member in members for asked in member.asked if asked[0] == "optimiser"]
    assert {role for member in members for role, _, _ in member.asked} == {"writer", "optimiser"}
    assert (
        max(Counter(parent for _, parent, _ in level).values()) <= 2 * 3
    )  # branch, for as long as it is in the beam


def test_beam_repairs_while_it_has_nothing_better(store):
    members, judge = [Climber("w", breaks=1)], TableJudge(ratio)
    session(store, new_run(store), "beam", judge, members, {"evaluations": 12})
    assert "repairer" in {role for role, _, _ in members[0].asked}


def test_evolve_writes_repairs_improves_and_confirms_the_best(store):
    members, judge = team(), TableJudge(ratio)
    loop, _, _ = session(store, new_run(store), "evolve", judge, members, {"evaluations": 40})
    assert {role for m in members for role, _, _ in m.asked} == {"writer", "repairer", "optimiser"}
    tried = [of for of, effort in judge.calls if effort == "quick"]
    assert len(tried) == len(set(tried)) and judge.calls[-1][1] == "full"
    assert loop.best.gain.ratio == max(ratio(candidate(of), "") or 0 for of in tried) > 1.3


def test_evolve_evaluates_no_program_twice_and_says_so(store):
    same, judge = Climber("w", only="same"), TableJudge(ratio)
    _, ended, strategy = session(store, new_run(store), "evolve", judge, [same], {})
    assert judge.calls == [("same", "quick"), ("same", "full")] and "nothing more" in ended
    assert "not novel and not evaluated" in strategy.explain()[-1]
    assert len({sample for _, _, sample in same.asked}) > 3  # it was asked for other answers


def test_evolve_asks_about_another_parent_where_ones_variations_are_known(store):
    class Stuck(Climber):
        def propose(self, context):
            wanted = context.wanted
            self.asked.append((wanted.role, wanted.parent[0].notes["title"] if wanted.parent else None))
            yield program("child" if wanted.parent else f"w{len(self.asked)}")

    stuck = Stuck("w")
    session(store, new_run(store), "evolve", TableJudge(lambda *_: 1.2), [stuck], {"evaluations": 9})
    optimised = [about for role, about in stuck.asked if role == "optimiser"][
        :8
    ]  # until one has no other left
    assert len(optimised) == 8 and sum(one == other for one, other in pairwise(optimised)) <= 2


def test_evolve_prefers_the_cheaper_of_equals_where_dollars_are_scarce(store):
    cheap, dear = Climber("w", dollars=0.01, breaks=5), Climber("v", dollars=1.0, breaks=5)
    limits = {"evaluations": 60, "dollars": 20.0}

    def made(members, ledger):
        ledger.began.clear()
        ledger.began.update(limits)
        return MADE["evolve"](members, ledger)

    session(store, new_run(store), made, TableJudge(ratio), [dear, cheap], limits)
    assert len(cheap.asked) > 2 * len(dear.asked) > 0


def test_the_seed_is_part_of_the_run(store):
    def calls(seed):
        judge = TableJudge(ratio)
        made = lambda t, ledger: Evolve(t, ledger, Breeding(seed=seed))  # noqa: E731
        session(store, new_run(store), made, judge, team(), {"evaluations": 30})
        return judge.calls

    assert calls(1) == calls(1) and len({tuple(calls(seed)) for seed in range(4)}) > 1


@pytest.mark.parametrize("name", MADE)
def test_a_bad_key_leaves_one_out_and_no_money_ends_the_search(store, name):
    class Bad(Climber):
        def propose(self, context):
            self.asked.append(context)
            raise BadKey("no key for bad")

    class Poor(Climber):
        def propose(self, context):
            if len(self.asked) == 4:
                raise BudgetExhausted("the budget of 1 dollars is spent")
            yield from super().propose(context)

    bad, judge = Bad("bad"), TableJudge(ratio)
    _, _, strategy = session(store, new_run(store), name, judge, [bad, Poor("w", breaks=99)], {})
    assert len(bad.asked) == 1 and "no key for bad" in strategy.explain()
    assert len(judge.calls) <= 4 + 3 and any(effort == "full" for _, effort in judge.calls)


def test_the_best_ones_tunables_are_searched_when_the_models_are_done(store):
    kernel = "#define BLOCK 8  // tune: 2, 4, 8, 16\nint w;"

    class Declaring(Climber):
        def propose(self, context):
            self.asked.append(None)
            made = program("w1")
            found = candidate_of("k.cpp", kernel)
            yield dataclasses.replace(made, sources=found.sources, tunables=found.tunables)

    def made(team, ledger):
        strategy = BestOfN(team, ledger, samples=1)
        strategy.tuner = Tuner
        return strategy

    judge = TableJudge(lambda of, effort: 2.0 if "BLOCK 4" in of.sources["k.cpp"] else 1.1)
    loop, _, _ = session(store, new_run(store), made, judge, [Declaring("w")], {"evaluations": 12})
    assert [effort for _, effort in judge.calls] == ["quick"] * 4 + ["full"]
    assert loop.best.gain.ratio == 2.0


@pytest.mark.parametrize("name", MADE)
def test_a_single_evaluation_is_a_full_one(store, name):
    judge = TableJudge(ratio)
    session(store, new_run(store), name, judge, team(), {"evaluations": 1})
    assert judge.calls == [("w1", "full")]
