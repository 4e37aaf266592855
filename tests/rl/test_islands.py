"""Populations and novelty, without a strategy around them."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter

import pytest
from rl_doubles import candidate, evaluation

from kopt.rl.islands import REPAIRS, Islands
from kopt.rl.novelty import CROWD, Novelty, resemblance, sketch


def pair(name, ratio):
    made = dataclasses.replace(candidate(name), sources={"k.cpp": f"int {name};"})
    return made, evaluation(made, ratio)


def islands(count=2, **more):
    options = {"population": 3, "migration": 1000, "stall": 4, **more}
    return Islands(count=count, chance=random.Random(0), **options)


def test_parents_are_better_ones_with_few_children():
    world = islands(1, population=10)
    island = world.islands[0]
    members = [pair(f"m{i}", ratio) for i, ratio in enumerate([1.0, 1.2, 1.4, 2.0])]
    for one in members:
        world.add(island, one, None)
    weights = dict(zip([m[0].digest for m in island.members], world.weights(island.members), strict=True))
    assert weights[members[3][0].digest] > weights[members[1][0].digest] > weights[members[0][0].digest]
    best = weights[members[3][0].digest]
    asked = Counter(world.parent(island)[0].digest for _ in range(5))[members[3][0].digest]
    assert asked  # it counts as a child as soon as it is asked for: others may be drawn before it is there
    after = dict(zip([m[0].digest for m in island.members], world.weights(island.members), strict=True))
    assert after[members[3][0].digest] == pytest.approx(best / (1 + asked), rel=0.2)
    drawn = Counter(world.parent(island)[0].digest for _ in range(200))
    assert len(drawn) >= 2 and set(drawn) <= {m[0].digest for m in island.members}


def test_an_island_keeps_its_best_and_the_newer_of_equals():
    world = islands(1)
    for name, ratio in [("a", 1.0), ("b", 1.5), ("c", 1.0), ("d", 1.0), ("e", None)]:
        world.add(world.islands[0], pair(name, ratio), None)
    assert [m[0].notes["title"] for m in world.islands[0].members] == ["b", "d", "c"]


def test_what_fails_is_repaired_a_few_times_and_then_given_up():
    world = islands(1)
    island, broken = world.islands[0], pair("x0", None)
    world.add(island, broken, None)
    for attempt in range(1, REPAIRS + 1):
        waiting = world.repairable(island)
        assert waiting[0].notes["title"] == f"x{attempt - 1}"
        world.add(island, pair(f"x{attempt}", None), waiting)
    assert world.repairable(island) is None
    world.add(island, pair("y", None), None)
    world.add(island, pair("mended", 1.1), world.repairable(island))
    assert world.repairable(island) is None and island.best == 1.1


def test_turns_that_are_open_at_once_go_to_different_islands_and_different_failures():
    world = islands(2)
    for island in world.islands:
        world.add(world.turn(), pair(f"s{len(island.members)}{id(island)}", 1.0), None)
    assert world.turn() is not world.turn()
    one, broken = world.islands[0], [pair("x", None), pair("y", None)]
    for failed in broken:
        world.add(one, failed, None)
    first = world.repairable(one)
    world.mend(first)
    second = world.repairable(one)
    assert {first[0].digest, second[0].digest} == {failed[0].digest for failed in broken}
    world.mend(second)
    assert world.repairable(one) is None
    world.passed(one, first, 1)
    world.add(one, pair("z", None), second)
    assert world.repairable(one)[0].notes["title"] == "z"


def test_children_of_what_was_cleared_away_do_not_come_back_unless_they_are_the_best():
    world = islands(2, stall=2)
    one, two = world.islands
    best, other = pair("best", 2.0), pair("other", 1.5)
    world.add(one, best, None)
    world.add(two, other, None)
    age = two.age
    while two.age == age:
        world.passed(two, None, 1)
    world.add(two, pair("late", 1.6), other, age)
    assert "late" not in [m[0].notes["title"] for m in two.members]
    world.add(two, pair("great", 2.5), other, age)
    assert two.best == 2.5


def test_every_island_gets_a_turn_and_empty_ones_get_started():
    world = islands(3)
    for step in range(12):
        island = world.turn()
        world.add(island, pair(f"s{step}", 1.0 + step / 100), None)
    assert all(island.members for island in world.islands)


def test_the_best_moves_on_but_not_to_an_island_that_climbs():
    world = islands(2, migration=4, stall=3)
    one, two = world.islands
    world.add(one, pair("best", 2.0), None)
    for name, ratio in [("p", 1.0), ("q", 1.1), ("r", 1.2)]:
        world.add(
            two, pair(name, ratio), None
        )  # the fourth evaluation: the best would move, but two has just gained
    assert two.best == 1.2
    for name in "stuv":
        world.add(two, pair(name, 0.5), None)
    assert two.best == 2.0


def test_a_stalled_island_begins_again_and_the_best_is_kept():
    inherited = set()
    for seed in range(8):
        world = Islands(count=2, population=3, migration=1000, stall=2, chance=random.Random(seed))
        one, two = world.islands
        world.add(one, pair("best", 2.0), None)
        world.add(two, pair("other", 1.0), None)
        for step in range(4):
            world.add(two, pair(f"n{step}", 0.5), None)
        assert one.best == 2.0
        inherited.add(two.best)
    assert inherited == {2.0, 0.0}  # with the best of the other one, or afresh
    for step in range(8):
        world.add(one, pair(f"o{step}", 0.5), None)
    assert max(one.best, two.best) == 2.0


def test_all_islands_stalled_widens_the_choice_of_parents():
    world = islands(2, stall=3)
    one, two = world.islands
    world.add(one, pair("a", 2.0), None)
    world.add(two, pair("b", 1.0), None)
    assert not world.widened
    for island in (one, two):
        world.passed(island, None, 3)
    assert world.widened
    drawn = {world.parent(one)[0].notes["title"] for _ in range(100)}
    assert drawn == {"a", "b"}
    world.add(one, pair("c", 3.0), None)
    assert not world.widened


# Novelty

KERNEL = "void run(float* x, int n) {{ for (int i = 0; i < n; ++i) x[i] = x[i] * {}.0f + 1.0f; }}"


def kernel(text):
    return dataclasses.replace(candidate("k"), sources={"k.cpp": text})


@pytest.mark.needs("tree_sitter")
def test_a_renamed_program_is_not_novel():
    novelty = Novelty(0.9)
    novelty.note(kernel(KERNEL.format(1)), gained=True)
    renamed = kernel("// faster\n" + KERNEL.format(1).replace("x", "data").replace("i", "j").replace("jnt", "int")
                     .replace("vojd", "void"))  # fmt: skip
    assert "the same program" in novelty.refusal(renamed)
    assert novelty.refusal(kernel(KERNEL.format(2))) is None


@pytest.mark.needs("tree_sitter")
def test_variations_are_refused_only_in_a_crowd_that_brings_nothing():
    long = "".join(f"float part{i}(float v) {{ return v * {i}.0f; }}\n" for i in range(30))
    novelty, made = Novelty(0.7), 0
    while novelty.refusal(kernel(long + KERNEL.format(made))) is None:
        novelty.note(kernel(long + KERNEL.format(made)), gained=False)
        made += 1
    assert made == CROWD
    other = "".join(f"int other{i}() {{ while (true) {{ break; }} return {i}; }}\n" for i in range(30))
    assert novelty.refusal(kernel(other)) is None
    novelty.note(kernel(long + KERNEL.format(99)), gained=True)
    assert novelty.refusal(kernel(long + KERNEL.format(100))) is None


def test_resemblance_is_a_share():
    one, other = sketch(kernel(KERNEL.format(1))), sketch(kernel("int main() { return 0; }"))
    assert resemblance(one, one) == 1.0 and resemblance(one, other) == 0.0
    assert 0.3 < resemblance(one, sketch(kernel(KERNEL.format(2)))) < 1.0
    assert resemblance(sketch(kernel("")), sketch(kernel(""))) == 1.0
