"""After an attack on the sandbox: is the machine clean, and is the next candidate judged as if nothing had been?"""

from __future__ import annotations

import time
from pathlib import Path

from kopt.verifiers.contestant import Failure
from kopt.verifiers.evaluator import Evaluator
from kopt.verifiers.verify import Verified, verify
from kopt.words import Candidate
from kopt.words.source_file import candidate_of

HONEST = Path(__file__).parent / "after"
_SETTLE = 5.0


def damage(evaluator: Evaluator, problem: str) -> str:
    """What an attack left, or did to those after it, in one line; empty when nothing."""
    deadline = time.monotonic() + _SETTLE  # the dead are reaped by the zygote in its own time
    while (left := evaluator.sandbox.remains()) and time.monotonic() < deadline:
        time.sleep(0.05)
    if left:
        return f"it left {', '.join(left[:3])}"
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
