"""Code problems in a Docker container: the same judge, the same verdicts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from code_problem import FAST, change, write

from kopt.problems import load, suite_code
from kopt.rl.code_candidate import code_candidate
from kopt.verifiers.code import BEFORE, CodeEvaluator
from kopt.verifiers.sampling import Effort
from kopt.words import Verdict

pytestmark = pytest.mark.needs("docker")
WRONG = "def squares(numbers):\n    found = list(numbers)\n    return sum(n * n for n in found) + (len(found) > 100)\n"
STAYS = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)\n    os._exit(0)\n" + FAST


@pytest.fixture(scope="module")
def judge(docker: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeEvaluator]:
    folder = write(tmp_path_factory.mktemp("squares"))
    with CodeEvaluator(load(folder), sandbox="docker") as evaluator:
        yield evaluator


def test_a_faster_program_is_right_and_faster(judge: CodeEvaluator) -> None:
    found = judge.evaluate(change(FAST))
    assert found.verdict is Verdict.CORRECT, found.reason
    gain = found.speedup[BEFORE]
    assert gain is not None and gain.low > 1.2 and found.sandbox["backend"] == "docker"


def test_a_wrong_one_is_wrong_and_one_that_leaves_a_process_is_not_waited_for(judge: CodeEvaluator) -> None:
    assert judge.evaluate(change(WRONG), effort=Effort.VERIFY).verdict is Verdict.WRONG
    found = judge.evaluate(change(STAYS), effort=Effort.VERIFY)
    assert (
        found.seconds < 120 and judge.evaluate(change(FAST), effort=Effort.VERIFY).verdict is Verdict.CORRECT
    )


def test_a_compiled_program_is_built_in_the_container(docker: None) -> None:
    problem = load(suite_code()["inversions"])
    with CodeEvaluator(problem, sandbox="docker") as evaluator:
        path, text = next((n, t) for n, t in problem.sources.items() if n.endswith(".cpp"))
        same = text.replace("uint64_t count = 0;", "uint64_t count{0};")
        found = evaluator.evaluate(code_candidate({path: same}), effort=Effort.VERIFY)
        assert found.verdict is Verdict.CORRECT, found.reason
        broken = code_candidate({path: text.replace("uint64_t count = 0;", "uint64_t count = 0")})
        broken = evaluator.evaluate(broken, effort=Effort.VERIFY)
        assert broken.verdict is Verdict.BUILD_FAILED
