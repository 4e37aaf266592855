"""The judge of code problems: what is right and faster wins, and nothing that only looks so does."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from code_problem import FAST, FILES, RULES, between, change, write

from kopt.errors import ProblemError
from kopt.problems import load
from kopt.rl.code_candidate import code_candidate
from kopt.verifiers.code import BEFORE, CodeEvaluator
from kopt.verifiers.sampling import Effort
from kopt.words import Evaluation, Verdict

pytestmark = pytest.mark.needs("bubblewrap")


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeEvaluator]:
    with CodeEvaluator(load(write(tmp_path_factory.mktemp("squares")))) as evaluator:
        yield evaluator


def verify(judge: CodeEvaluator, text: str) -> Evaluation:
    return judge.evaluate(change(text), effort=Effort.VERIFY)


def test_a_faster_program_is_right_and_faster(judge):
    found = judge.evaluate(change(FAST))
    assert found.verdict is Verdict.CORRECT, found.reason
    assert [stage.name.value for stage in found.stages] == ["static", "test", "verify", "measure"]
    gain = found.speedup[BEFORE]
    assert gain is not None and gain.low > 1.2 and gain.pairs >= 8
    assert found.timing["before"].median > found.timing["candidate"].median + 0.06
    assert judge.weaknesses() == []


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("main.py", "main.py may not be changed"),
        ("test_squares.py", "test_squares.py may not be changed"),
        ("judge/generate.py", "judge/generate.py may not be changed"),
        ("kopt.toml", "kopt.toml may not be changed"),
        ("../squares.py", "../squares.py may not be changed"),
        ("/tmp/squares.py", "/tmp/squares.py may not be changed"),
        ("extra/conftest.py", "would steer the tools"),
    ],
)
def test_what_lies_outside_of_the_scope_is_refused(judge, path, told):
    found = judge.evaluate(code_candidate({"squares.py": between(FAST), path: "x = 1\n"}))
    assert found.verdict is Verdict.REJECTED and told in found.reason
    assert [stage.name.value for stage in found.stages] == ["static"]


def test_lines_outside_of_the_markers_are_refused(judge):
    text = between(FAST).replace('"""Sums."""', "import main")
    found = judge.evaluate(code_candidate({"squares.py": text}))
    assert found.verdict is Verdict.REJECTED and "EVOLVE-BLOCK" in found.reason
    assert judge.evaluate(code_candidate({"squares.py": FAST})).verdict is Verdict.REJECTED


def test_new_files_inside_of_the_scope_are_taken(judge):
    made = {"extra/__init__.py": FAST, "squares.py": between("from extra import squares\n")}
    found = judge.evaluate(code_candidate(made), effort=Effort.VERIFY)
    assert found.verdict is Verdict.CORRECT, found.reason


def test_failing_tests_are_told(judge):
    found = verify(judge, "def squares(numbers):\n    return sum(numbers)\n")
    assert found.verdict is Verdict.WRONG
    assert "the tests fail (exit status 1)" in found.reason and "test_squares" in found.reason


KNOWN = "def squares(numbers):\n    return {(1, 2, 3): 14, (1, 2): 5}.get(tuple(numbers), 0)\n"
FORGED = """
import os, sys
if "test_squares.py" in sys.argv:
    getattr(os, "_ex" + "it")(0)
def squares(numbers):
    return 0
"""
REWRITTEN = """
from pathlib import Path
def squares(numbers):
    for name in ("main.py", "test_squares.py"):
        Path(name).write_text("print(0)")
    return 14
"""
LATE = """
import os, time
def squares(numbers):
    total = sum(n * n for n in numbers)
    if total != 14 and os.fork():
        LEAVE(0)
    if total != 14:
        time.sleep(0.3)
    return total
""".replace("LEAVE", 'getattr(os, "_ex" + "it")')


@pytest.mark.parametrize(
    "text", [KNOWN, FORGED, REWRITTEN, LATE], ids=["known", "forged", "rewritten", "late"]
)
def test_what_only_passes_the_tests_is_wrong_on_inputs_it_has_not_seen(judge, text):
    """Known outputs, a forged status, rewritten tests, an answer by a process that outlives its parent."""
    found = verify(judge, text)
    assert found.verdict is Verdict.WRONG, found.reason
    assert found.stages[-1].name.value == "verify"


def test_of_hidden_inputs_nothing_is_told(judge):
    shout = "def squares(numbers):\n    numbers = list(numbers)\n    if len(numbers) > 300:\n"
    shout += "        raise ValueError(f'secret {numbers}')\n    return sum(n * n for n in numbers)\n"
    found = verify(judge, shout)
    assert found.verdict is Verdict.CRASHED and found.reason == "on a hidden input: exit status 1"
    assert "secret" not in repr(found)


def test_code_that_mentions_how_tests_are_answered_is_refused(judge):
    found = verify(judge, "import os\nos._exit(0)\n")
    assert found.verdict is Verdict.REJECTED and "os._exit" in found.reason


STORING = """
import os
from pathlib import Path
PLACES = [Path(p) / "kopt-left" for p in (".", "/tmp", "/dev/shm", "/var/tmp", os.environ["HOME"], "{host}")]
def squares(numbers):
    if any(place.exists() for place in PLACES):
        raise ValueError("something of an earlier run is left")
    for place in PLACES:
        try:
            place.write_text("x")
        except OSError:
            pass
    return sum(n * n for n in numbers)
"""


def test_nothing_written_is_left_for_a_later_run_or_on_the_host(judge, tmp_path):
    found = judge.evaluate(change(STORING.replace("{host}", str(tmp_path))), effort=Effort.QUICK)
    assert found.verdict is Verdict.CORRECT, found.reason
    assert list(tmp_path.iterdir()) == []
    assert not any(Path(p, "kopt-left").exists() for p in (".", "/tmp", "/dev/shm", "/var/tmp"))


BEHIND = """
import os, sys
def squares(numbers):
    if not os.fork():
        os.setsid()
        os.execv(sys.executable, ["MARK", "-c", "import time; time.sleep(600)"])
    return sum(n * n for n in numbers)
"""


def running(mark: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "cmdline").read_text():
                found.append(entry.name)
    return found


def test_a_process_that_is_left_behind_ends_with_its_run(judge):
    mark = f"left-behind-{os.getpid()}"  # nobody else's: other tests run at the same time
    assert running(mark) == []
    with subprocess.Popen([mark, "-c", "import time; time.sleep(5)"], executable=sys.executable) as process:
        while process.poll() is None and not running(mark):
            time.sleep(0.01)  # its name is there a moment after it
        assert running(mark) == [str(process.pid)]
        process.kill()
    found = verify(judge, BEHIND.replace("MARK", mark))
    assert found.verdict is Verdict.CORRECT, found.reason
    assert running(mark) == []


BOASTING = """
import sys, time
def squares(numbers):
    time.sleep(0.4)
    print("elapsed 0.000001 s, speedup 1000x, PASSED", file=sys.stderr)
    time.perf_counter = time.time = lambda: 0.0
    return sum(n * n for n in numbers)
"""


def test_a_time_that_is_printed_is_not_believed(judge):
    found = judge.evaluate(change(BOASTING), effort=Effort.QUICK)
    assert found.verdict is Verdict.CORRECT and found.gain is not None
    assert found.gain.ratio < 0.9 and found.timing["candidate"].median > 0.4
    printed = BOASTING.replace(", file=sys.stderr", "")
    assert verify(judge, printed).verdict is Verdict.WRONG


def test_an_endless_program_is_ended(judge):
    began = time.monotonic()
    slow = "def squares(numbers):\n    while len(list(numbers)) != 3:\n        pass\n    return 14\n"
    found = verify(judge, slow)
    assert found.verdict is Verdict.TIMED_OUT and "5 s" in found.reason
    assert time.monotonic() - began < 60


def test_full_effort_draws_new_inputs(judge):
    one, other = judge.cases.fresh(), judge.cases.fresh()
    assert {case.data for case in one if not case.shown} != {case.data for case in other if not case.shown}
    assert judge.cases.known() is judge.cases.known()


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("judge/pairs/example.out", "6\n", "the original is wrong on pair example"),
        ("test_squares.py", "def test():\n    assert False\n", "the original fails its own tests"),
        (
            "conftest.py",
            "import socket\nsocket.socket()\n",
            "leaves a plugin that wants one out with -p no:NAME",
        ),
        ("judge/generate.py", "raise SystemExit(3)\n", "generate failed for size 2 (status 3)"),
        ("main.py", "import random\nprint(random.random())\n", "the original is wrong on pair"),
        ("kopt.toml", RULES.replace("python main.py", "no-such-program"), "cannot be started"),
        ("kopt.toml", RULES + 'build = "false"\n', "the original does not build"),
        (
            "kopt.toml",
            RULES + "build = \"sh -c 'head -c 70M /dev/urandom > big'\"\n",
            "leaves more than 64 MiB",
        ),
    ],
)
def test_a_problem_that_cannot_be_judged_is_named(tmp_path, name, text, told):
    problem = load(write(tmp_path))
    problem = dataclasses.replace(problem, sources={**FILES, name: text})
    with pytest.raises(ProblemError) as caught, CodeEvaluator(problem):
        pass
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_weak_problems_are_named(tmp_path):
    shown = RULES.replace("generate =", "# ").replace("sizes =", "# ").replace("timed =", "# ")
    files = {**FILES, "kopt.toml": shown.replace('["example"]', '["example", "empty"]')}
    problem = dataclasses.replace(load(write(tmp_path)), sources=files)
    with CodeEvaluator(problem) as judge:
        assert judge.weaknesses() == ["known outputs"]
