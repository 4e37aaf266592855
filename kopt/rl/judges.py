"""The judge that fits a problem: of kernels, or of code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kopt.errors import UsageError
from kopt.settings import Settings
from kopt.words import Candidate, Policy, Problem

if TYPE_CHECKING:
    from kopt.rl.loop import Observer
    from kopt.sandbox import Sandbox
    from kopt.verifiers.code import CodeEvaluator
    from kopt.verifiers.evaluator import Evaluator


def open_judge(
    problem: Problem,
    *,
    sandbox: str | Sandbox,
    settings: Settings,
    observer: Observer | None,
    policy: Policy | str,
    expecting: Candidate | None = None,
) -> Evaluator | CodeEvaluator:
    """A judge for any problem, in a sandbox of a kind or in an open one, which it closes in the end.

    Raises:
        UsageError: the problem cannot be judged, or the policy has no meaning for it.
        SandboxUnavailable: nothing here can isolate.
    """
    if problem.format == "code":
        from kopt.verifiers.code import CodeEvaluator

        if Policy(policy) is Policy.STRICT:
            raise UsageError("--policy strict is about kernels' operators; leave it out for a code problem")
        return CodeEvaluator(problem, sandbox=sandbox, settings=settings, observer=observer)
    from kopt.verifiers.evaluator import Evaluator

    return Evaluator(
        problem, sandbox=sandbox, settings=settings, observer=observer, expecting=expecting, policy=policy
    )
