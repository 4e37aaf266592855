"""Calls by themselves: what is slower than in full rounds is charged, and nobody is accused of it."""

from __future__ import annotations

import pytest

from kopt.verifiers import Effort, Evaluator, declared_faster
from kopt.words import Candidate, Language, Style, Verdict

SLOW_ALONE = """
import sys, time
def run(x):
    mine = sys._getframe(1).f_locals.get("calls")
    if mine is not None and len(mine) == 1:
        time.sleep(SECONDS)
    return x * x.sigmoid()
"""


@pytest.mark.needs("bubblewrap")
@pytest.mark.parametrize("seconds", [0.02, 0.001])
def test_slow_by_itself_is_slow(silu: Evaluator, seconds: float) -> None:
    # Once this was called tampered, and so were honest kernels on a busy machine.
    candidate = Candidate(
        sources={"k.py": SLOW_ALONE.replace("SECONDS", str(seconds))},
        language=Language.TORCH,
        entry="k.py::run",
        style=Style.RETURNING,
    )
    found = silu.evaluate(candidate, effort=Effort.QUICK)
    assert found.verdict is Verdict.CORRECT, found.reason
    assert found.timing["candidate"].median >= 0.9 * seconds
    assert not declared_faster(found.gain)
    assert any("one by one" in note for note in found.notes)
