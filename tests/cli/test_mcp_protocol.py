"""`kopt mcp` without a sandbox: schemas, hostile arguments, HTTP and its token."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

pytest.importorskip("mcp", reason="the extra llm is not installed")
pytestmark = [pytest.mark.needs("mcp")]

import httpx2  # noqa: E402
from jsonschema import Draft202012Validator  # noqa: E402
from mcp.shared.exceptions import MCPError  # noqa: E402
from mcp_harness import Session, cpp, over_http, serve_http, stdio  # noqa: E402

TOOLS = {
    "describe_problem",
    "evaluate",
    "profile",
    "compare",
    "submit",
    "job_status",
    "job_cancel",
    "library_search",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Session]:
    with stdio() as session:
        yield session


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_tools_have_schemas_of_bounded_things(mode: str):
    with stdio(mode=mode) as session:
        tools = session.run(lambda client: client.list_tools()).tools
        assert "describe_problem first" in session.run(_instructions)
    assert {tool.name for tool in tools} == TOOLS
    for tool in tools:
        Draft202012Validator.check_schema(tool.input_schema)
        assert tool.input_schema["additionalProperties"] is False and len(tool.description) < 400
    evaluate = next(tool for tool in tools if tool.name == "evaluate").input_schema
    assert evaluate["required"] == ["problem", "candidate"]
    assert evaluate["properties"]["effort"]["enum"] == ["verify", "quick", "full"]
    assert evaluate["properties"]["wait_seconds"]["maximum"] == 300


async def _instructions(client) -> str:
    return client.instructions or client.session.instructions


ABOUT = {"problem": "rms_norm"}


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("describe_problem", {"problem": "../../../etc/passwd"}, "no problem of that name"),
        ("describe_problem", {"problem": "/etc/passwd"}, "paths are not read"),
        ("describe_problem", {"problem": "norm/rms_norm.py"}, "no problem of that name"),
        ("describe_problem", {"problem": "rms_nrom"}, "rms_norm"),
        ("describe_problem", {"problem": ""}, "problem: "),
        ("describe_problem", {"problem": 3}, "problem: "),
        ("describe_problem", {"problem": None}, "problem: "),
        ("describe_problem", {}, "problem: "),
        ("describe_problem", {**ABOUT, "path": "/etc"}, "path: "),
        ("describe_problem", {"problem": "x\n" * 5_000_000}, "262144"),
        ("describe_problem", {"problem": "é\n" * 131_000}, "more than the 262144"),
        ("describe_problem", {**ABOUT, "overrides": {"a b": 1}}, "overrides: "),
        ("describe_problem", {**ABOUT, "overrides": {"tokens": "9" * 201}}, "overrides: "),
        ("describe_problem", {**ABOUT, "overrides": {f"a{i}": i for i in range(33)}}, "overrides: "),
        ("describe_problem", {**ABOUT, "overrides": {"tokens": [1]}}, "overrides"),
        ("describe_problem", {**ABOUT, "wait_seconds": 301}, "wait_seconds: "),
        ("describe_problem", {**ABOUT, "wait_seconds": "1"}, "wait_seconds: "),
        ("evaluate", ABOUT, "candidate: "),
        ("evaluate", {**ABOUT, "candidate": "c-0123456789abcdef"}, "no candidate"),
        ("evaluate", {**ABOUT, "candidate": []}, "candidate"),
        ("evaluate", {**ABOUT, "candidate": {"files": {}}}, "1 to 16"),
        ("evaluate", {**ABOUT, "candidate": {"files": {f"{i}.h": "" for i in range(17)}}}, "1 to 16"),
        ("evaluate", {**ABOUT, "candidate": {"files": {"k.cpp": "x" * 10_000_000}}}, "524288"),
        ("evaluate", {**ABOUT, "candidate": {"files": {"k.cpp": 1}}}, "candidate"),
        ("evaluate", {**ABOUT, "candidate": {"files": {"k.txt": ""}}}, ".cpp, .cu or .py"),
        ("evaluate", {**ABOUT, "candidate": {"files": {"a.cpp": "", "b.cpp": ""}}}, "entry: "),
        ("evaluate", {**ABOUT, "candidate": {"files": {"a.cpp": ""}, "entry": "b.cpp::run"}}, "entry: "),
        ("evaluate", {**ABOUT, "candidate": {"files": {"a.cpp": ""}, "entry": "a.cpp::a b"}}, "entry: "),
        ("evaluate", {**ABOUT, "candidate": cpp(), "effort": "most"}, "effort: "),
        ("evaluate", {**ABOUT, "candidate": cpp(), "sandbox": "none"}, "sandbox: "),
        ("evaluate", {**ABOUT, "candidate": cpp(), "policy": "free"}, "policy: "),
        ("compare", {**ABOUT, "candidate": cpp()}, "against: "),
        ("submit", {**ABOUT, "budget_seconds": 1e9}, "budget_seconds: "),
        ("submit", {**ABOUT, "budget_evaluations": 0}, "budget_evaluations: "),
        ("job_status", {"job": "../../x"}, "no job"),
        ("job_cancel", {"job": "x" * 65}, "job: "),
        ("library_search", {"limit": 0}, "limit: "),
    ],
)
def test_malformed_and_hostile_arguments_are_one_line(server: Session, tool: str, arguments: dict, says: str):
    assert says in server.refused(tool, **arguments)


@pytest.mark.parametrize(
    "name",
    ["../k.cpp", "/etc/k.cpp", "a/../../k.cpp", "..", ".k.cpp", "a//k.cpp", "a\\k.cpp", "k\0.cpp", "k\n.cpp"],
)
def test_file_names_that_leave_the_candidate_are_refused(server: Session, name: str):
    candidate = {"files": {name: "x"}}
    assert "plain and relative" in server.refused("evaluate", problem="rms_norm", candidate=candidate)


def test_an_unknown_tool_is_an_error_of_the_protocol(server: Session):
    with pytest.raises(MCPError, match="there are describe_problem"):
        server.call("shell", command="id")


def test_an_empty_library_has_nothing(server: Session):
    found = server.call("library_search", query="no kernel has these words: qwertz", sources=True)
    assert found == {"kernels": []}


ASK = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
PLAIN = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def test_http_answers_only_those_who_hold_the_token():
    process, told = serve_http()
    try:
        url, token = told["url"], told["token"]
        assert url.startswith("http://127.0.0.1:") and len(token) >= 32
        with httpx2.Client(timeout=10) as web:

            def ask(headers: dict[str, str], where: str = url, **more: object) -> int:
                return web.post(where, **{"headers": {**PLAIN, **headers}, "json": ASK, **more}).status_code

            wrong = [
                None,
                "Bearer",
                "Bearer x",
                f"Basic {token}",
                f"Bearer {token[:-1]}",
                f"Bearer {token}x",
                token,
            ]
            for value in wrong:
                assert ask({"Authorization": value} if value else {}) == 401, value
            assert ask({}, where=url.replace("/mcp", "/")) == 401
            right = {"Authorization": f"Bearer {token}"}
            assert ask(right) == 200
            assert ask({**right, "Host": "evil.example"}) == 421
            assert ask(right, json={**ASK, "params": {"x": "x" * 10_000_000}}) == 413
            assert web.get(url).status_code == 401 and web.delete(url).status_code == 401
        with over_http(url, token) as session:
            assert {tool.name for tool in session.run(lambda c: c.list_tools()).tools} == TOOLS
            assert session.call("library_search", query="qwertz") == {"kernels": []}
            assert "no problem of that name" in session.refused("describe_problem", problem="/etc/passwd")
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 130 and out == "" and token not in err


def test_a_token_from_a_file_is_not_printed(tmp_path):
    file = tmp_path / "token"
    file.write_text("a-token-of-my-own-4711\n")
    process, told = serve_http("--token-file", file)
    try:
        assert told["token"] is None
        with over_http(told["url"], "a-token-of-my-own-4711") as session:
            assert session.call("library_search", query="qwertz") == {"kernels": []}
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert "4711" not in out + err
