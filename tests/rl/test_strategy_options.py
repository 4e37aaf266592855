"""Options of strategies: declared, checked, named when they are wrong."""

from __future__ import annotations

import dataclasses

import pytest

from kopt.errors import UsageError
from kopt.rl.evolve import Breeding
from kopt.rl.strategies import STRATEGIES, WITH_MODELS
from kopt.rl.strategy_options import BRIEFING, IN_FLIGHT, OPTIONS, read_options


def test_every_strategy_declares_its_options_and_defaults_are_those_of_the_code():
    assert set(OPTIONS) == set(STRATEGIES)
    shared = {option.name: option.default for option in BRIEFING}
    assert read_options("evolve", {}) == {**dataclasses.asdict(Breeding()), **shared, IN_FLIGHT: 4}
    assert all(read_options(name, {}).items() >= shared.items() for name in WITH_MODELS)


def test_given_values_are_taken():
    options = read_options("evolve", {"population": 12, "alike": 0.5})
    assert options["population"] == 12 and options["alike"] == 0.5


@pytest.mark.parametrize(
    ("strategy", "given", "says"),
    [
        ("evolve", {"popultion": 3}, "no option --popultion; it has: --population, --islands"),
        ("beam", {"islands": 2}, "no option --islands; it has: --width, --branch, .*; evolve takes that one"),
        ("offline", {"seed": 2}, "it has: none"),
        ("evolve", {"islands": 0}, "--islands 0: give a whole number from 1 to 100"),
        ("evolve", {"islands": 1.5}, "whole number"),
        ("evolve", {"population": True}, "whole number"),
        ("evolve", {"alike": float("nan")}, "--alike nan: give a number"),
        ("evolve", {"seed": "x"}, "--seed x"),
        ("refine", {"review": 2}, "--review 2: give a whole number from 0 to 1"),
    ],
)
def test_what_does_not_fit_is_named(strategy, given, says):
    with pytest.raises(UsageError, match=says):
        read_options(strategy, given)
