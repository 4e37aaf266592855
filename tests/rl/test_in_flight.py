"""Several proposals asked for at once while others are evaluated: the same search whoever answers first."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
import zlib

import pytest
from rl_doubles import PROBLEM, TableJudge, candidate
from test_population_strategies import MADE, goes_on_after, new_run, program, ratio, session, tell

from kopt.agents.bill import charge
from kopt.agents.chat.errors import BadKey
from kopt.agents.context import Cost
from kopt.rl.ledger import Ledger
from kopt.rl.strategy_options import read_options
from kopt.rl.team import Team
from kopt.store import Store
from kopt.words import Bottleneck, BottleneckName, Profile

pytestmark = pytest.mark.needs("tree_sitter")


class Moody:
    """A double of a model whose answer hangs on nothing but the question, and its delay on nothing at all."""

    def __init__(self, name, longest=0.004):
        self.name, self.longest = name, longest
        self.open = self.most = 0
        self.lock = threading.Lock()

    def propose(self, context):
        wanted = context.wanted
        with self.lock:
            self.open += 1
            self.most = max(self.most, self.open)
        time.sleep(random.uniform(0.0, self.longest))
        with self.lock:
            self.open -= 1
        charge(Cost(0.01 * len(self.name), 1.0))
        title = wanted.parent[0].notes["title"] if wanted.parent else self.name
        number = zlib.crc32(f"{self.name}/{wanted.role}/{title}/{context.sample}".encode())
        if wanted.role == "writer":
            title += str(number % 50)
        elif wanted.role == "optimiser":
            title += "abcdefgh"[number % 8]
        else:
            title = title.replace("!", "")
        yield program(title + "!" * (number % 3 == 0))

    def explain(self):
        return []


@pytest.fixture
def store(tmp_path):
    with Store(f"sqlite:///{tmp_path / 'kopt.db'}") as opened:
        yield opened


def models():
    return [Moody("w"), Moody("vv")]


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("kill", [1, 6, 15])
def test_a_killed_run_goes_on_as_if_nothing_had_been(store, name, kill):
    assert goes_on_after(kill, store, name, models, in_flight=8) > 15


@pytest.mark.parametrize("name", MADE)
def test_as_many_are_asked_at_once_as_allowed_and_the_budget_holds(store, name):
    slow, judge = Moody("w", longest=0.05), TableJudge(ratio)
    session(store, new_run(store), name, judge, [slow], {"evaluations": 12}, in_flight=4)
    assert slow.most in (3, 4) and len(judge.calls) <= 12
    one = Moody("w")
    session(store, new_run(store), name, TableJudge(ratio), [one], {"evaluations": 12})
    assert one.most == 1


@pytest.mark.parametrize("in_flight", [1, 4])
def test_models_are_asked_while_the_judge_judges(store, in_flight):
    slow, seen = Moody("w", longest=0.1), []

    class Watching(TableJudge):
        def __call__(self, of, effort, incumbent):
            seen.append(slow.open)
            return super().__call__(of, effort, incumbent)

    judge, limits = Watching(ratio), {"evaluations": 8}
    session(store, new_run(store), "best-of-n", judge, [slow], limits, in_flight=in_flight)
    assert (max(seen) > 0) == (in_flight > 1)


def test_a_server_that_hangs_does_not_cost_the_confirmation(store):
    class Hanging(Moody):
        def propose(self, context):
            if context.sample >= 2:
                threading.Event().wait()
            yield from super().propose(context)

    judge = TableJudge(lambda of, effort: 1.5)
    limits = {"seconds": 9.0}
    loop, _, _ = session(store, new_run(store), "best-of-n", judge, [Hanging("w")], limits, in_flight=4)
    assert [effort for _, effort in judge.calls] == ["quick", "quick", "full"] and loop.best is not None


def test_a_bad_key_is_told_once_however_many_asked(store):
    class Bad(Moody):
        def propose(self, context):
            raise BadKey("no key for bad")
            yield

    _, _, strategy = session(
        store, new_run(store), "evolve", TableJudge(ratio), [Bad("bad"), Moody("w")], {"evaluations": 9}, in_flight=6
    )  # fmt: skip
    assert strategy.explain().count("no key for bad") == 1


def test_what_goes_wrong_in_a_thread_is_raised_where_it_is_waited_for(store):
    class Broken(Moody):
        def propose(self, context):
            raise SystemExit("broken")
            yield

    with pytest.raises(SystemExit, match="broken"):
        session(
            store,
            new_run(store),
            "beam",
            TableJudge(ratio),
            [Broken("b")],
            {},
        )


def test_a_profile_is_made_before_the_question_by_whoever_asks():
    """It needs the device, which evaluations use: never in a thread beside them."""
    made = []
    profile = Profile(bottleneck=Bottleneck(name=BottleneckName.DIVISION, evidence=("it divides",)))

    def evidence(of, found):
        made.append((of.digest, threading.current_thread()))
        return profile

    class Reading(Moody):
        def propose(self, context):
            self.context = context
            yield from super().propose(context)

    good, model = candidate("a"), Reading("w")
    pair = (good, TableJudge(lambda *_: 1.5)(good, "quick", None))
    team = Team([model], tell, evidence=evidence)
    team.end(team.begin(model, [pair], pair))
    assert model.context.wanted.role == "optimiser" and model.context.wanted.parent[1].profile is profile
    assert made == [(good.digest, threading.current_thread())]
    known = (good, dataclasses.replace(pair[1], profile=profile))
    team.end(team.begin(model, [known], known))
    team.end(team.begin(model, [], None))
    assert len(made) == 1


def test_the_same_question_asked_again_is_another_sample():
    model, samples = Moody("w"), []

    def describe(history, best):
        return dataclasses.replace(tell(history, best), problem=PROBLEM)

    class Counting(Moody):
        def propose(self, context):
            samples.append((context.wanted.role, context.sample))
            yield from super().propose(context)

    model = Counting("w")
    team = Team([model], describe, in_flight=3)
    for asked in [team.begin(model, [], None) for _ in range(3)]:
        team.end(asked)
    assert sorted(samples) == [("writer", 0), ("writer", 1), ("writer", 2)]


def test_what_nobody_waits_for_is_paid_in_full_and_once():
    kept = []
    ledger = Ledger({"dollars": 1.0}, keep=kept.append)
    open_, bound = ledger.reserve(dollars=0.25, tokens=100), ledger.reserve(tokens=float("inf"))
    ledger.forfeit()
    assert ledger.spent["dollars"] == 0.25 and ledger.spent["tokens"] == 100 and len(kept) == 2
    open_.settle(dollars=0.01)
    bound.cancel()
    assert ledger.spent["dollars"] == 0.25 and len(kept) == 2


def test_how_many_are_in_flight_is_an_option_of_those_that_can():
    assert read_options("evolve", {"in_flight": 8})["in_flight"] == 8
    with pytest.raises(Exception, match="no option --in-flight"):
        read_options("refine", {"in_flight": 2})
