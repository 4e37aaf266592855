"""Calls one by one, on inputs that are written as they are asked: working on many at once gains nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kopt.verifiers import Effort, Evaluator, declared_faster
from kopt.verifiers.contestant import Contestant, Failure
from kopt.verifiers.gate import awake, per_call
from kopt.verifiers.measure import Match, ReferenceSide
from kopt.verifiers.redteam.corpus import attacks, problem_of
from kopt.words import Candidate, Language, Style, Verdict
from kopt.words.source_file import candidate_of

ONE_BY_ONE = "import torch\ndef run(x, out):\n    torch.mul(x, x.sigmoid(), out=out)\n"
SERIAL = (Path(__file__).parents[2] / "bench" / "material" / "small_silu.cpp").read_text()
LATE = """
import threading, torch
work = []
ready = threading.Semaphore(0)
def finish():
    while True:
        ready.acquire()
        x, out = work.pop()
        torch.mul(x, x.sigmoid(), out=out)
threading.Thread(target=finish, daemon=True).start()
def run(x, out):
    out[0] = 0
    work.append((x, out))
    ready.release()
"""

SKIPPING = """
import time, torch
calls = 0
def run(x, out):
    global calls
    calls += 1
    if calls % 24:
        torch.mul(x, x.sigmoid(), out=out)
        until = time.perf_counter() + 2e-2  # far longer than a neighbour may keep the one that skips waiting
        while time.perf_counter() < until:
            pass
"""


def python(text: str) -> Candidate:
    return Candidate(
        sources={"k.py": text}, language=Language.TORCH, entry="k.py::run", style=Style.DESTINATION
    )


@pytest.fixture(scope="module")
def tiny(open_evaluator: Callable[[str], Evaluator]) -> Evaluator:
    return open_evaluator(Path(problem_of("tiny_silu").path).read_text())


def test_the_quickest_call_counts_and_what_its_message_costs_does_not() -> None:
    calls, empty = [90e-6, 50e-6, 4e-3], [20e-6, 3e-3]
    assert per_call(calls, empty, [], []) == pytest.approx(30e-6)
    assert per_call(calls, empty, [45e-6, 60e-6], [15e-6, 10e-6, 90e-6]) == pytest.approx(20e-6)
    assert per_call(calls, empty, [45e-6], [100e-6]) == pytest.approx(30e-6)
    assert per_call([20e-6], [25e-6], [], []) == 0.0


def spinners() -> list[str]:
    mine = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [pid for pid in mine if b"while :" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_nothing_is_left_of_what_keeps_the_cores_awake() -> None:
    with awake():
        deadline = time.monotonic() + 5
        while len(spinners()) < len(os.sched_getaffinity(0)) and time.monotonic() < deadline:
            time.sleep(0.01)  # their names are there a moment after them
        assert len(spinners()) == len(os.sched_getaffinity(0))
    assert not spinners()


def test_what_keeps_the_cores_awake_gives_way_to_every_session() -> None:
    group = Path("/proc/self/autogroup")
    if not group.exists():
        pytest.skip("this kernel does not group by sessions")
    with awake():
        for pid in spinners():
            assert os.sched_getscheduler(int(pid)) == os.SCHED_IDLE
            assert Path(f"/proc/{pid}/autogroup").read_text().split()[-1] == "19"


@pytest.mark.timing
@pytest.mark.needs("bubblewrap")
def test_a_round_done_at_once_is_charged_for_its_calls(tiny: Evaluator) -> None:
    (attack,) = (one for one in attacks() if one.name == "a_round_at_once")
    found = tiny.evaluate(attack.candidate, effort=Effort.QUICK)
    honest = tiny.evaluate(python(ONE_BY_ONE), effort=Effort.QUICK)
    assert honest.verdict is Verdict.CORRECT, honest.reason
    assert found.verdict is Verdict.CORRECT, found.reason
    assert not declared_faster(found.gain) or declared_faster(honest.gain)
    assert any("one by one" in note for note in found.notes)


@pytest.mark.needs("bubblewrap")
def test_a_compiled_kernel_takes_no_longer_one_by_one(tiny: Evaluator) -> None:
    candidate = candidate_of("k.cpp", SERIAL)
    found = tiny.evaluate(candidate, effort=Effort.QUICK)
    assert found.verdict is Verdict.CORRECT, found.reason
    assert found.timing["candidate"].median < 100e-6


@pytest.mark.needs("bubblewrap")
def test_work_left_for_after_the_answer_is_met_at_the_gate(tiny: Evaluator) -> None:
    bench = tiny.timed[0]
    assert bench.cases
    with tiny.contestant(bench, python(LATE), None) as late:
        assert isinstance(late, Contestant)
        match = Match(bench, {"candidate": late, "eager": ReferenceSide(bench.eager)})
        match.full["eager"].append(1e-5)
        with pytest.raises(Failure) as refused:
            for _ in range(20):
                match.through_the_gate("candidate", "eager", 1, 0.0)
        assert refused.value.verdict in (Verdict.TAMPERED, Verdict.WRONG)


@pytest.mark.needs("bubblewrap")
def test_the_quickest_call_is_checked(tiny: Evaluator) -> None:
    bench = tiny.timed[0]
    assert bench.cases and bench.layout.slots >= 24
    with tiny.contestant(bench, python(SKIPPING), None) as skipping:
        match = Match(bench, {"candidate": skipping, "eager": ReferenceSide(bench.eager)})
        match.full["eager"].append(1e-5)
        with pytest.raises(Failure) as refused:
            match.through_the_gate("candidate", "eager", 1, 0.0)
        assert refused.value.verdict is Verdict.WRONG


@pytest.mark.needs("bubblewrap")
def test_who_is_quick_enough_is_called_once_only(tiny: Evaluator) -> None:
    bench = tiny.timed[0]
    with tiny.contestant(bench, python(ONE_BY_ONE), None) as honest:
        match = Match(bench, {"candidate": honest, "eager": ReferenceSide(bench.eager)})
        match.full["eager"].append(1e-5)
        match.through_the_gate("candidate", "eager", 4, 1.0)
        once = match.checked
        match.through_the_gate("candidate", "eager", 4, 0.0)
        assert 4 <= once <= 8 and match.checked > 2 * once
