"""The offline strategy with nothing replaced: a shipped problem traced, its kernel built and verified."""

from __future__ import annotations

import pytest

from kopt.problems import load, suite_problems
from kopt.rl.ledger import Ledger
from kopt.rl.strategies import make_strategy
from kopt.settings import Settings
from kopt.verifiers import Effort, Evaluator


@pytest.mark.slow
@pytest.mark.needs("bubblewrap")
def test_pooling_of_images_of_any_size(settings: Settings) -> None:
    """Verification takes every workload, the held-out odd size and the smallest one."""
    problem = load(suite_problems()["max_pool2d"])
    with Evaluator(problem, settings=settings) as evaluator:
        trial = make_strategy("offline", problem, evaluator, Ledger({})).ask()
        assert trial is not None
        evaluation = evaluator.evaluate(trial.candidate, effort=Effort.VERIFY)
    assert evaluation.correct, evaluation.reason
