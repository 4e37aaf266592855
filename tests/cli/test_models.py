"""`kopt optimize --model` with nothing replaced but the model: a scripted server, real compilers, a real judge."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_harness import CPP, kopt, leftovers, one_line, start

sys.path.append(str(Path(__file__).parent.parent / "agents"))

from fake_openai import FakeOpenAI, fail, say

pytestmark = [pytest.mark.needs("bubblewrap", "litellm", "tree_sitter"), pytest.mark.slow]
KEY = "sk-secret-of-the-test-1234"
BROKEN = CPP.replace("x.size(1);", "x.size(1)")


def contents(home: str) -> Iterator[bytes]:
    """Every file of a home, those included that it has in common with other tests' homes, which come and go."""
    for folder, _, names in os.walk(home, followlinks=True):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                yield (Path(folder) / name).read_bytes()


def reply(code: str) -> str:
    return f"One pass over memory.\n```cpp\n{code}```\n"


def model(body: dict) -> object:
    """Writes a kernel that does not compile, repairs it when told why, then thinks for long."""
    asked = body["messages"][-1]["content"]
    usage = {"prompt_tokens": 2000, "completion_tokens": 500, "total_tokens": 2500}
    if "first version" in asked:
        return say(reply(BROKEN), usage=usage)
    if "critical issue" in asked:
        return say(reply(CPP) if "kernel.cpp:8: expected" in asked else "What is wrong?", usage=usage)
    return say("Let me think.", delay=60.0)


def test_a_model_repairs_its_kernel_and_is_paid_once(problem, home):
    """Killed while the model is thinking, resumed: what was answered is not asked, nor paid for, again."""
    home["KOPT_MODEL_KEY"] = KEY
    with FakeOpenAI(model) as server:
        name = f"openai/toy@{server.url}"
        options = ["--model", name, "--price", f"{name}=2,10", "--budget-dollars", "5", "--json"]
        process = start("optimize", problem, "--budget-seconds", "600", *options, env=home)
        until = time.monotonic() + 250
        while len(server.requests) < 3:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            time.sleep(0.05)
        process.kill()
        process.communicate()
        assert leftovers(20.0) == []
        run = json.loads(kopt("runs", "list", "--json", env=home).stdout)["runs"][0]
        assert run["status"] == "stopped"
        cost = (2 * 2000 + 10 * 500) / 1e6
        assert run["spent"]["dollars"] == pytest.approx(2 * cost) and run["spent"]["tokens"] == 5000
        done = kopt("runs", "resume", run["id"], "--budget-evaluations", "3", env=home, timeout=280)
        assert done.returncode in (0, 1), done.stderr
        assert len(server.requests) == 3
    assert "$0.018, 5000 tokens" in done.stdout
    shown = json.loads(kopt("runs", "show", run["id"], "--json", env=home).stdout)
    made = [(m["evaluation"]["verdict"], m["effort"]) for m in shown["evaluations"]]
    assert made == [("build_failed", "quick"), ("correct", "quick"), ("correct", "full")]
    assert shown["run"]["options"]["prices"]["prices"][name]["prompt"] == 2.0
    calls = [e["payload"] for e in shown["events"] if e["kind"] == "model.called"]
    assert [call["kept"] for call in calls] == [False, False, True, True]
    text = "".join(str(request["messages"]) for request in server.requests) + done.stdout + done.stderr
    assert KEY not in text + json.dumps(shown)
    assert not any(KEY.encode() in content for content in contents(home["KOPT_HOME"]))
    assert server.requests[0]["headers"]["authorization"] == f"Bearer {KEY}"


def test_a_wrong_key_is_one_line(problem, home):
    with FakeOpenAI([fail(401, f"Incorrect API key provided: {KEY}")]) as server:
        home["KOPT_MODEL_KEY"] = KEY
        done = kopt("optimize", problem, "--model", f"openai/toy@{server.url}", env=home)
    assert done.returncode == 1 and "does not accept the key; check KOPT_MODEL_KEY" in " ".join(
        done.stdout.split()
    )
    assert (
        len(server.requests) == 1 and KEY not in done.stdout + done.stderr and "Traceback" not in done.stderr
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--model", "gpt-5"], "write PROVIDER/NAME"),
        (["--model", "openai/gpt-4o"], "set OPENAI_API_KEY"),
        (["--model", "opnai/gpt-4o"], "no provider 'opnai'"),
        (["--strategy", "refine"], "needs a model"),
        (
            ["--population", "3"],
            "the strategy offline has no option --population; it has: none; evolve takes",
        ),
        (["--strategy", "beam", "--model", "ollama/x", "--islands", "2"], "it has: --width, --branch"),
        (["--strategy", "evolve", "--model", "ollama/x", "--islands", "0"], "from 1 to 100"),
        (["--strategy", "offline", "--model", "ollama/x"], "uses no model"),
        (["--model", "vllm/x@http://h/v1", "--price", "y=1,2"], "no --model of this run"),
        (["--model", "openai/x@http://h/v1", "--budget-dollars", "1"], "no price is known"),
    ],
)
def test_what_cannot_be_used_is_said_at_once(problem, tmp_path, options, says):
    done = kopt("optimize", problem, *options, env={"KOPT_HOME": str(tmp_path), "OPENAI_API_KEY": ""})
    assert done.returncode == 2 and says in one_line(done.stderr)
