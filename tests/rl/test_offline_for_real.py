"""The offline strategy with nothing replaced: shipped problems traced, their first kernels built and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kopt.problems import load, suite_problems
from kopt.rl.ledger import Ledger
from kopt.rl.strategies import make_strategy
from kopt.sandbox import Sandbox
from kopt.settings import Settings
from kopt.verifiers import Effort, Evaluator
from kopt.words import Language

WITHOUT = {"paged_decode"}  # no kernel is generated: tests/agents/test_suite.py has why

LONG = {"w4a16"}  # a timed round takes seconds: verified only


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory, furnished: Callable[..., Path]) -> Settings:
    """A home of its own: the baselines of these tests are made up."""
    return Settings(home=furnished(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def lent(apart: Settings, lend: Callable[..., AbstractContextManager[Sandbox]]) -> Iterator[Sandbox]:
    with lend(apart) as sandbox:
        yield sandbox


@pytest.mark.slow
@pytest.mark.needs("bubblewrap")
@pytest.mark.parametrize("name", sorted(set(suite_problems()) - WITHOUT))
def test_the_first_kernel_is_judged_correct(
    name: str, apart: Settings, lent: Sandbox, uncompiled: Callable[[Evaluator], Evaluator]
) -> None:
    """On every workload, held-out and smallest size, and in timed rounds, which look at far more elements."""
    problem = load(suite_problems()[name])
    with uncompiled(Evaluator(problem, sandbox=lent, settings=apart)) as evaluator:
        strategy = make_strategy("offline", problem, evaluator, Ledger({}))
        while (trial := strategy.ask()) is not None and trial.candidate.language is not Language.CPP:
            pass
        assert trial is not None
        effort = Effort.VERIFY if name in LONG else Effort.QUICK
        evaluation = evaluator.evaluate(trial.candidate, effort=effort)
    assert evaluation.correct, evaluation.reason
