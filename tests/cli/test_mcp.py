"""`kopt mcp` with the real sandbox: what a coding agent does with it, and what is left when it goes away."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("mcp", reason="the extra llm is not installed")
pytestmark = [pytest.mark.needs("bubblewrap", "mcp"), pytest.mark.slow]

from cli_harness import KOPT  # noqa: E402
from mcp_harness import HELD_OUT, PROBLEM, Session, cpp, gone, stdio  # noqa: E402

from kopt.sandbox.processes import descendants  # noqa: E402

SLOW = PROBLEM.replace("    return torch", "    while True: pass\n    return torch")


@pytest.fixture(scope="module")
def server() -> Iterator[Session]:
    with stdio("--budget-evaluations", 50) as session:
        yield session


@pytest.fixture(scope="module")
def described(server: Session) -> dict:
    return server.call("describe_problem", problem=PROBLEM)


def verdict(server: Session, candidate: object, **more: object) -> dict:
    answer = server.call(
        "evaluate", **{"problem": PROBLEM, "candidate": candidate, "effort": "verify", **more}
    )
    assert answer["state"] == "done", answer
    return answer


def secret(answer: object) -> list[str]:
    """What of the hidden parts, or of this machine's folders, an answer tells."""
    text = json.dumps(answer)
    home, hidden = (
        os.environ["KOPT_HOME"],
        (str(HELD_OUT), "unseen", " inputs)", "seed", "/tmp/", "site-packages"),
    )
    return [word for word in (home, *hidden) if word in text]


def test_a_description_tells_what_to_write_and_hides_what_is_held_out(described: dict):
    told = described["result"]
    assert described["state"] == "done" and described["problem"].startswith("p-")
    assert told["call"]["order"] == "run(x, y)" and "TYPED_FUNC(run, kernel)" in told["call"]["cpp"]
    assert told["workloads"][0]["inputs"] == [{"name": "x", "dtype": "float32", "shape": [64, 48]}]
    assert "torch.relu(x) * 2.0 + 1.0" in told["reference"] and "held_out" not in told["reference"]
    assert "other sizes of rows" in told["also_judged"] and told["machine"]["cores"] >= 1
    assert secret(described) == []


def test_a_right_candidate_is_correct(server: Session, described: dict):
    answer = verdict(server, cpp(), problem=described["problem"])
    assert answer["result"]["verdict"] == "correct" and answer["result"]["reason"] == ""
    assert [stage["name"] for stage in answer["result"]["stages"]] == ["static", "build", "smoke", "verify"]
    assert answer["budget_left"]["evaluations"] < 50
    again = verdict(server, answer["candidate"], problem=described["problem"])
    assert again["result"]["verdict"] == "correct" and again["candidate"] == answer["candidate"]
    assert again["seconds"] < 30, "the judge is kept warm"
    assert secret([answer, again]) == []


def test_a_wrong_candidate_hears_where(server: Session):
    answer = verdict(server, cpp(value="1.5f"))
    worst = answer["result"]["worst"]
    assert answer["result"]["verdict"] == "wrong" and answer["result"]["reason"].startswith("y[")
    assert worst["output"] == "y" and len(worst["index"]) == 2 and worst["wrong_elements"] > 0
    assert abs(worst["got"] - worst["expected"]) == pytest.approx(0.5, abs=1e-3)
    assert secret(answer) == []


@pytest.mark.parametrize(
    "body",
    [
        "if (rows > 64) { out[0] = 0.25f; return; }",
        'if (rows > 64) throw std::runtime_error("rows are " + std::to_string(rows));',
        'if (rows > 64) throw std::runtime_error("in[0] is " + std::to_string(in[0]));',
    ],
    ids=["wrong", "tells the shape", "tells a value"],
)
def test_of_a_hidden_workload_only_that_it_failed_is_told(server: Session, body: str):
    result = verdict(server, cpp(body))["result"]
    assert result["verdict"] in ("wrong", "crashed") and "not shown" in result["reason"]
    assert "worst" not in result and "runtime_error" not in result["reason"] and secret(result) == []


def test_what_does_not_compile_names_the_line_and_reads_no_file_of_the_host(server: Session):
    result = verdict(server, {"files": {"kernel.cpp": '#include "/etc/shadow"\nint run = 1'}})["result"]
    assert result["verdict"] in ("build_failed", "rejected")
    result = verdict(server, cpp("int i = ;"))["result"]
    assert result["verdict"] == "build_failed" and "kernel.cpp:" in result["reason"]
    assert " /" not in result["reason"] and secret(result) == []


@pytest.mark.timing
def test_speed_and_comparison(server: Session):
    plain, slow = (
        cpp(),
        cpp("for (int r = 0; r < 300; ++r) for (int64_t i = 0; i < n; ++i) out[i] += in[i] * r;"),
    )
    answer = server.call("evaluate", problem=PROBLEM, candidate=plain, wait_seconds=120)
    result = answer["result"]
    assert result["verdict"] in ("correct", "tampered")  # a loaded machine can make times disagree
    if result["verdict"] == "correct":
        for speedup in result["speedup"].values():
            assert speedup["low"] <= speedup["ratio"] <= speedup["high"]
        assert result["seconds_per_call"]["all"] > 0
    answer = server.call(
        "compare", problem=PROBLEM, candidate=answer["candidate"], against=slow, wait_seconds=120
    )
    found = answer["result"]["candidate_over_against"]
    assert found["certain"] == "faster" and found["low"] > 2 and secret(answer) == []


def test_a_profile_names_one_bottleneck_and_what_to_do(server: Session):
    serial = cpp("double s = 0; for (int64_t i = 0; i < n; ++i) { s += in[i]; out[i] = s; }")
    answer = server.call("profile", problem=PROBLEM, candidate=serial, wait_seconds=120)
    assert answer["result"]["evaluation"]["verdict"] == "correct", answer
    found = answer["result"]["profile"]
    assert found["bottleneck"] and found["evidence"] and found["method"] and found["seconds_per_call"] > 0
    assert any(loop["assembly"] for loop in found["loops"]) and secret(answer) == []
    wrong = server.call("profile", problem=PROBLEM, candidate=cpp(value="2.0f"), wait_seconds=120)["result"]
    assert wrong["profile"] is None and wrong["evaluation"]["verdict"] == "wrong"
    reference = server.call("profile", problem=PROBLEM, wait_seconds=120)["result"]
    assert reference["profile"]["reference_operators"] and "evaluation" not in reference


def test_long_work_gives_handles_and_can_be_given_up(server: Session):
    first = server.call("describe_problem", problem=SLOW, wait_seconds=0)
    second = server.call("evaluate", problem=PROBLEM, candidate=cpp(), effort="verify", wait_seconds=0)
    third = server.call("submit", problem=PROBLEM, budget_evaluations=2)
    assert first["state"] in ("queued", "running") and second["state"] == third["state"] == "queued"
    assert second["jobs_ahead"] == 1 and third["jobs_ahead"] == 2
    assert server.call("job_cancel", job=third["job"])["state"] == "cancelled"
    until = time.monotonic() + 60
    while server.call("job_status", job=first["job"], wait_seconds=0.2).get("stage") != "opening the problem":
        assert time.monotonic() < until
    assert server.call("job_cancel", job=first["job"])["state"] == "cancelled"
    answer = server.call("job_status", job=second["job"], wait_seconds=60)
    assert answer["state"] == "done" and answer["result"]["verdict"] == "correct"


def test_a_call_that_the_client_gives_up_gives_its_job_up(server: Session):
    asked = {"problem": SLOW, "wait_seconds": 300}
    with pytest.raises(TimeoutError):
        server.run(lambda client: asyncio.wait_for(client.call_tool("describe_problem", asked), 1))
    answer = server.call("describe_problem", problem=PROBLEM, wait_seconds=60)
    assert answer["state"] == "done"


def test_a_problem_that_cannot_be_used_is_one_line(server: Session):
    assert "problem.py:3" in server.refused("describe_problem", problem="import torch\n\ndef (\n")
    text = server.refused("describe_problem", problem=PROBLEM, overrides={"nothing": 1})
    assert "constants are" in text and str(HELD_OUT) not in text


def test_a_search_runs_in_the_background_and_is_kept_when_given_up(server: Session):
    job = server.call("submit", problem=PROBLEM, budget_seconds=60)["job"]
    until = time.monotonic() + 40
    while "run" not in (answer := server.call("job_status", job=job, wait_seconds=0.5)).get("progress", {}):
        assert answer["state"] in ("queued", "running") and time.monotonic() < until, answer
    run = answer["progress"]["run"]
    assert server.call("job_cancel", job=job)["state"] == "cancelled"
    shown = json.loads(
        subprocess.run([KOPT, "runs", "show", run, "--json"], capture_output=True, text=True).stdout
    )
    assert shown["run"]["status"] in ("interrupted", "stopped")  # either can be resumed


def test_a_spent_budget_is_one_line():
    with stdio("--budget-evaluations", 1) as server:
        assert "2 evaluations" not in server.refused(
            "compare", problem=PROBLEM, candidate=cpp(), against=cpp()
        )
        rejected = {"files": {"kernel.py": "x = 1"}}
        answer = verdict(server, rejected)
        assert answer["result"]["verdict"] == "rejected" and answer["budget_left"] == {"evaluations": 0}
        text = server.refused("evaluate", problem=PROBLEM, candidate=cpp())
        assert "budget is spent: 0 of 1 evaluations are left" in text and "--budget-evaluations" in text
        assert server.call("describe_problem", problem=PROBLEM)["state"] == "done"


def _speak(process: subprocess.Popen[str], *messages: dict) -> dict:
    assert process.stdin is not None and process.stdout is not None
    for message in messages:
        process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


HELLO = {
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


@pytest.mark.parametrize("end", ["leave", "leave at work", "terminate", "kill"])
def test_nothing_is_left_when_the_client_or_the_server_goes_away(end: str):
    process = subprocess.Popen(
        [KOPT, "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert _speak(process, HELLO)["result"]["serverInfo"]["name"] == "kopt"
    arguments = {"problem": PROBLEM if end == "leave" else SLOW, "wait_seconds": 60 if end == "leave" else 0}
    call = {"name": "describe_problem", "arguments": arguments}
    reply = _speak(
        process, {"method": "notifications/initialized"}, {"id": 2, "method": "tools/call", "params": call}
    )
    assert reply["id"] == 2 and reply["result"]["isError"] is False  # and nothing else was on stdout
    until = time.monotonic() + 40
    while (
        len(family := descendants(process.pid)) < 6
    ):  # the worker, its sandbox's processes and the reference
        assert time.monotonic() < until, family
        time.sleep(0.1)
    assert process.stdin is not None and process.stdout is not None
    if end.startswith("leave"):
        process.stdin.close()
    else:
        process.send_signal(signal.SIGTERM if end == "terminate" else signal.SIGKILL)
    status = process.wait(10)
    assert gone(family) == []
    assert status == {"terminate": 130, "kill": -signal.SIGKILL}.get(end, 0)
    assert process.stdout.read() == ""
