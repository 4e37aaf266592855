"""What the bandit promises, whatever it is told."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kopt.rl.bandit import PATIENCE, Bandit

MODELS, ROLES = ("one", "two", "three"), ("writer", "repairer", "optimiser")
ARMS = [(model, role) for model in MODELS for role in ROLES]
figures = st.floats(allow_nan=True, allow_infinity=True)
lessons = st.lists(st.tuples(st.sampled_from(ARMS), figures, figures), max_size=60)


def taught(story):
    bandit = Bandit()
    for arm, reward, cost in story:
        bandit.learn(arm, reward, cost)
    return bandit


@given(lessons, st.lists(st.sampled_from(ARMS), min_size=1, unique=True))
def test_the_same_story_brings_the_same_choice_and_it_is_on_offer(story, arms):
    assert taught(story).choose(arms) == taught(story).choose(arms)
    assert taught(story).choose(arms) in arms
    assert all(math.isfinite(taught(story).index(arm)) for arm in arms)


@given(st.lists(st.tuples(st.sampled_from(ARMS), st.floats(0, 1), st.floats(0.01, 10)), max_size=60))
def test_the_unit_of_cost_does_not_matter(story):
    """Dollars or cents: the choice is the same. Powers of two, so that no rounding interferes."""
    bandit, cents = taught(story), taught([(arm, reward, cost * 128) for arm, reward, cost in story])
    if story:
        assert bandit.choose(ARMS) == cents.choose(ARMS)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.floats(1e-6, 1e6))
def test_no_arm_is_starved_before_it_was_tried(seed, dear):
    """However bad and dear an arm looks from its siblings, it gets its turn within a bounded number of choices."""
    luck = random.Random(seed)
    price = {arm: luck.choice([1.0, dear]) for arm in ARMS}
    bandit, tried = Bandit(), set()
    for _ in range(PATIENCE + len(ARMS) + 1):
        arm = bandit.choose(ARMS)
        tried.add(arm)
        bandit.learn(arm, luck.random() if arm == ARMS[0] else 0.0, price[arm])
    assert tried == set(ARMS)


def play(reward, cost, turns=300, arms=(("cheap", "writer"), ("dear", "writer"))):
    bandit, luck, counts = Bandit(), random.Random(0), dict.fromkeys(arms, 0)
    for _ in range(turns):
        arm = bandit.choose(arms)
        counts[arm] += 1
        bandit.learn(arm, float(luck.random() < reward[arm[0]]), cost[arm[0]])
    return counts


def test_of_equals_the_cheap_one_is_asked():
    counts = play({"cheap": 0.3, "dear": 0.3}, {"cheap": 1.0, "dear": 5.0})
    assert counts["cheap", "writer"] > 8 * counts["dear", "writer"] > 0


def test_what_is_worth_its_price_is_paid():
    counts = play({"cheap": 0.02, "dear": 0.9}, {"cheap": 1.0, "dear": 3.0})
    assert counts["dear", "writer"] > 3 * counts["cheap", "writer"]


def test_a_model_that_has_got_worse_is_left():
    """What was learnt long ago fades."""
    bandit = Bandit()
    arms = [("was", "writer"), ("is", "writer")]
    for _ in range(60):
        bandit.learn(arms[0], 1.0, 1.0)
        bandit.learn(arms[1], 0.3, 1.0)
    assert bandit.choose(arms) == arms[0]
    for _ in range(40):
        bandit.learn(arms[0], 0.0, 1.0)
    assert bandit.choose(arms) == arms[1]


def test_what_is_known_of_a_model_is_thought_of_its_other_roles():
    bandit = Bandit()
    for _ in range(6):
        bandit.learn(("good", "writer"), 1.0, 1.0)
        bandit.learn(("bad", "writer"), 0.0, 1.0)
    assert bandit.index(("good", "repairer")) > bandit.index(("bad", "repairer"))


def test_a_choice_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least one arm"):
        Bandit().choose([])


def test_several_tries_at_once_do_not_all_go_where_nothing_is_known_yet():
    """One model is thirty times as dear: each is tried before its price is known, but not by all."""
    bandit = Bandit()
    arms = [(model, "writer") for model in ("cheap", "dear", "middle")]
    first = [bandit.choose(arms) for _ in range(6)]
    assert {arm: first.count(arm) for arm in arms} == dict.fromkeys(arms, 2)
    bandit.learn(arms[0], 0.5, 1.0)
    assert [bandit.choose(arms) for _ in range(3)] == [arms[0]] * 3  # the others' first tries are under way
    bandit.learn(arms[1], 0.5, 30.0)
    bandit.learn(arms[2], 0.5, 6.0)
    assert bandit.choose(arms) == arms[0]
