"""Refuse problems on which a trivial answer would win (design §3, invariant 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import kopt
from kopt.errors import UsageError
from kopt.words import Problem, to_json

if TYPE_CHECKING:
    from kopt.rl.loop import Observer
    from kopt.store import Store
    from kopt.verifiers.code import CodeEvaluator
    from kopt.verifiers.evaluator import Evaluator


def lint_report(problem: Problem, evaluator: Evaluator | CodeEvaluator, store: Store) -> Mapping[str, Any]:
    """The problem's lint report as JSON, made once per problem and version of kopt."""
    from kopt.verifiers.code import CodeEvaluator

    if isinstance(evaluator, CodeEvaluator):
        return {"mutants": [{"name": name, "passed": True} for name in evaluator.weaknesses()]}
    known = store.lint(problem.digest, kopt.__version__)
    if known is None:
        from kopt.verifiers.lint import lint

        known = to_json(lint(problem, evaluator))
        store.save_lint(problem.digest, kopt.__version__, known)
    return known


def passing(report: Mapping[str, Any]) -> list[str]:
    """Names of the mutants that pass."""
    return [mutant["name"] for mutant in report["mutants"] if mutant["passed"]]


def refuse_weak(
    problem: Problem,
    evaluator: Evaluator | CodeEvaluator,
    store: Store,
    *,
    allow_weak: bool,
    observer: Observer,
) -> tuple[str, ...]:
    """Let strong problems through.

    Returns:
        What to tell the user about a weak problem that was allowed.

    Raises:
        UsageError: mutants pass and ``allow_weak`` is not set.
    """
    observer("lint", {})
    names = passing(lint_report(problem, evaluator, store))
    observer("linted", {"passing": names})
    if not names:
        return ()
    text = (
        f"the problem accepts {len(names)} wrong answer{'s' if len(names) > 1 else ''} ({', '.join(names)})"
    )
    if not allow_weak:
        raise UsageError(
            f"{problem.name}: {text}; `kopt lint` tells more, strengthen the problem or give --allow-weak"
        )
    return (f"{text}: a win on it proves little",)
