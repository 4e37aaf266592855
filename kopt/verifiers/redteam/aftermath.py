"""After an attack on the sandbox: is the machine clean, and is the next candidate judged as if nothing had been?

Clean means: no process, file, control group or mount is there that was not there before, nothing carries the campaign's
token, a candidate that lived beside the attack has noticed nothing, and an honest one is judged correct.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kopt.sandbox import Sandbox
from kopt.verifiers.contestant import Failure
from kopt.verifiers.evaluator import Evaluator
from kopt.verifiers.redteam.canaries import Canaries
from kopt.verifiers.verify import Verified, verify
from kopt.words import Candidate
from kopt.words.source_file import candidate_of

HONEST = Path(__file__).parent / "after"
_SETTLE = 5.0


@contextmanager
def watched(evaluator: Evaluator, problem: str, canaries: Canaries) -> Iterator[Callable[[], str]]:
    """Look at the machine and let a candidate live beside what is done in here.

    Yields what tells, at the end, what that did: one line, empty when nothing.
    """
    sandbox = evaluator.sandbox
    with canaries.sibling(sandbox) as sibling:
        before = sandbox.mounts()

        def harm() -> str:
            after = sandbox.mounts()
            remounted = [*(after - before), *(before - after)]
            if remounted:
                return f"it changed what is mounted: {', '.join(remounted[:3])}"
            return sibling.harm() or damage(evaluator, problem) or canaries.left(deep=True)

        yield harm


def _remains(sandbox: Sandbox) -> str:
    deadline = time.monotonic() + _SETTLE  # the dead are reaped by the zygote in its own time
    while (left := sandbox.remains()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return f"it left {', '.join(left[:3])}" if left else ""


def damage(evaluator: Evaluator, problem: str) -> str:
    """What an attack left in its sandbox, or did to those after it, in one line; empty when nothing."""
    left = _remains(evaluator.sandbox)
    if left:
        return left
    bench = evaluator.timed[0]
    try:
        with evaluator.contestant(bench, honest(problem), None) as contestant:
            verify(contestant, bench.cases, Verified())
    except Failure as failure:
        return f"the next honest candidate was judged {failure.verdict}: {failure.reason}"
    return ""


def honest(problem: str) -> Candidate:
    """A candidate in Python that is right."""
    return candidate_of("candidate.py", (HONEST / f"{problem}.py").read_text(encoding="utf-8"))
