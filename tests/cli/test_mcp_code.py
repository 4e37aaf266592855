"""`kopt mcp` and code problems: a program of the operator's, served to the official client."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("mcp", reason="the extra llm is not installed")
pytestmark = [pytest.mark.needs("bubblewrap", "mcp"), pytest.mark.slow]

from cli_harness import KOPT  # noqa: E402
from mcp_harness import Session, stdio  # noqa: E402

sys.path.append(str(Path(__file__).parents[1] / "verifiers"))

from code_problem import FAST, between, write  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("mcp") / "squares")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Session]:
    with stdio("--problem", folder) as session:
        yield session


def change(text: str, path: str = "squares.py") -> dict:
    return {"files": {path: between(text) if path == "squares.py" else text}}


def ended(server: Session, answer: dict) -> dict:
    answer = server.call("job_status", job=answer["job"], wait_seconds=120)
    assert answer["state"] == "done", answer
    return answer["result"]


def test_a_description_shows_the_program_and_nothing_of_the_judge(server, folder):
    answer = server.call("describe_problem", problem="squares", wait_seconds=120)
    told = answer["result"]
    assert told["editable"] == ["squares.py", "extra/*"] and told["commands"]["run"] == "python main.py"
    assert set(told["files"]) == {"squares.py", "main.py", "test_squares.py"}
    assert told["examples"] == {"example": {"input": "1 2\n", "output": "5\n"}}
    assert "randrange" not in json.dumps(answer) and str(folder) not in json.dumps(answer)


def test_changes_are_judged_and_the_winner_is_a_patch(server):
    def verdict(candidate, effort="verify"):
        asked = {"problem": "squares", "candidate": candidate, "effort": effort, "wait_seconds": 120}
        return server.call("evaluate", **asked)["result"]

    assert verdict(change("def squares(numbers):\n    return 1\n"))["verdict"] == "wrong"
    outside = verdict(change("x = 1\n", "main.py"))
    assert outside["verdict"] == "rejected" and "may not be changed" in outside["reason"]
    assert verdict(change(FAST), "quick")["speedup"]["before"]["certain"] == "faster"
    told = ended(server, server.call("submit", problem="squares", candidate=change(FAST)))
    assert (
        told["won"]
        and told["patch"].startswith("squares: right on")
        and "\n-    time.sleep(0.12)" in told["patch"]
    )
    slow = ended(
        server,
        server.call("submit", problem="squares", candidate=change(FAST + "import time\ntime.sleep(0.2)\n")),
    )
    assert not slow["won"] and "patch" not in slow


def test_what_code_problems_cannot_do_is_said_in_one_line(server):
    about = {"problem": "squares", "candidate": change(FAST), "wait_seconds": 60}
    assert "timed against the original" in server.refused("profile", **about)
    assert "timed against the original" in server.refused("compare", **about, against=change(FAST))
    assert "submit a change" in server.refused("submit", problem="squares", wait_seconds=60)
    assert "leave it out" in server.refused(
        "evaluate", problem="squares", candidate={**change(FAST), "entry": "squares.py::squares"}
    )
    assert "squares" in server.refused("describe_problem", problem="squares2")
    assert "squares" in server.refused("describe_problem", problem="../squares")


@pytest.mark.parametrize(
    ("path", "told"), [("nothing", "no such file"), ("softmax.py", "already"), ("my problem.py", "letters")]
)
def test_an_operators_problem_that_cannot_be_served_ends_the_command(tmp_path, path, told):
    if path != "nothing":
        text = "import torch\nclass Model(torch.nn.Module):\n    def forward(self, x):\n        return x\n"
        text += "def get_inputs():\n    return [torch.randn(4)]\ndef get_init_inputs():\n    return []\n"
        (tmp_path / path).write_text(text)
    done = subprocess.run(
        [KOPT, "mcp", "--problem", tmp_path / path], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and told in done.stderr and len(done.stderr.splitlines()) == 1
