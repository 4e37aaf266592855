"""Whatever comes out of a sandbox, the host answers with a declared exception, soon, in little memory."""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kopt.errors import ProblemError
from kopt.sandbox import Limits, ProtocolViolation, Role, RunnerError, RunnerRaised, RunnerTimedOut
from kopt.sandbox.builder import outcome
from kopt.sandbox.cache import BuildCache
from kopt.sandbox.cgroups import Group
from kopt.sandbox.greeting import receive
from kopt.sandbox.handle import RunnerHandle, raised
from kopt.sandbox.messages import parse
from kopt.sandbox.output import Output, OutputDrain
from kopt.sandbox.runner.wire import ANSWER, ASK, MAX_REPLY, REQUEST
from kopt.sandbox.zygote import Events
from kopt.verifiers import claims
from kopt.verifiers.contestant import failure_of
from kopt.words import Problem, Workload

quick = settings(max_examples=100, deadline=2000, suppress_health_check=list(HealthCheck), derandomize=True)
few = settings(quick, max_examples=40)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=6),
    max_leaves=40,
)
WORDS = [
    "ok",
    "result",
    "error",
    "kind",
    "message",
    "line",
    "file",
    "event",
    "id",
    "status",
    "layers",
    "failed",
]
OBJECT = st.dictionaries(st.sampled_from(WORDS) | st.text(), JSON, max_size=8)
BYTES = st.binary(max_size=400) | OBJECT.map(lambda value: json.dumps(value).encode())
PROBLEM = Problem(name="p", format="model", sources={"p.py": ""}, entry="p.py")
WORKLOAD = Workload(name="w", index=0)


def showable(value: Any) -> None:
    """It can be stored as UTF-8 and as strict JSON."""
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@quick
@given(BYTES)
def test_replies(data: bytes) -> None:
    with contextlib.suppress(ProtocolViolation):
        reply = parse(data)
        showable(reply)
        error = raised(reply.get("error"))
        failure = failure_of(error, "doing")
        showable([str(error), failure.reason, failure.detail.get("trace")])
        assert "\n" not in failure.reason


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff{}",
        b"[" * 100_000,
        b'{"a":' * 50 + b"1" + b"}" * 50,
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"{} {}",
        b"\x80\x04\x95",
    ],
)
def test_what_is_no_reply(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        parse(data)


def test_letters_that_act_are_replaced() -> None:
    told = parse(b'{"a": "\\u001b[2J\\ud800\\u202egnp.exe\\n", "\\u0007": ["\\u009b"]}')
    assert told == {"a": "\ufffd[2J\ufffd\ufffdgnp.exe\n", "\ufffd": ["\ufffd"]}


def test_a_large_reply_takes_little_memory() -> None:
    data = b'{"a":[' + b"[]," * (MAX_REPLY // 12) + b"0]}"
    tracemalloc.start()
    began = time.monotonic()
    parse(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20 and time.monotonic() - began < 10


@quick
@given(st.lists(BYTES, max_size=6))
def test_events_of_the_zygote(pieces: list[bytes]) -> None:
    events = Events()
    for piece in pieces:
        if not events.feed(piece + b"\n"):
            break
    assert all(isinstance(n, int) and (s is None or isinstance(s, int)) for n, s in events.exits.items())
    showable(events.facts)


def test_an_endless_line_of_the_zygote() -> None:
    events = Events()
    assert not all(events.feed(b"x" * 65536) for _ in range(64))


def greeted(data: bytes, fds: tuple[int, ...] = ()) -> Any:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        if data:
            theirs.sendmsg([data], rights)
        theirs.close()
        return receive(ours, timeout=2.0)


@few
@given(BYTES)
def test_greetings(data: bytes) -> None:
    found = greeted(data + b"\n")
    showable([found.layers, found.failed])


def test_greeting_tells_pid_and_layers() -> None:
    found = greeted(b'{"layers": {"seccomp": true, "x": 3}, "pid": 1}\n')
    assert found.pid == os.getpid() and found.layers == {"seccomp": True}


def test_greeting_that_never_ends() -> None:
    ours, theirs = socket.socketpair()
    stop = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not stop.wait(0.01):
                theirs.send(b" ")

    thread = threading.Thread(target=drip)
    thread.start()
    began = time.monotonic()
    assert receive(ours, timeout=0.3).pid is None
    assert time.monotonic() - began < 2
    stop.set()
    thread.join()
    for end in (ours, theirs):
        end.close()


def test_descriptors_nobody_asked_for_are_closed() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    extra = os.dup(0)
    greeted(b'{"layers": {}}\n', (extra,))
    os.close(extra)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.fixture
def no_runner() -> Iterator[Callable[..., Any]]:
    """A handle whose runner is a thread of this test: what it answers is up to the test."""
    dead = os.fork()
    if not dead:
        os._exit(0)

    def ask(answer: Callable[[bytes], bytes], call: Callable[[RunnerHandle], Any]) -> Any:
        ours, theirs = socket.socketpair()
        output = Output(100)

        def serve() -> None:
            with contextlib.suppress(OSError):
                header = theirs.recv(ASK.size)
                if ASK.unpack(header)[0] == REQUEST:
                    theirs.recv(1 << 16)
                theirs.sendall(answer(header[-8:]))
                theirs.shutdown(socket.SHUT_WR)

        handle = RunnerHandle(
            role=Role.CANDIDATE, pid=dead, link=ours, output=output, group=Group(), isolated=True,
            ended=lambda: None, release=lambda handle: None,
        )  # fmt: skip
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with handle:
                return call(handle)
        finally:
            thread.join()
            theirs.close()
            for fd in (output.reader, output.writer):
                os.close(fd)

    yield ask
    os.waitpid(dead, 0)


HEADER = st.tuples(
    st.sampled_from([0, 1, 2, 1 << 31]), st.sampled_from([0, 1, 5, MAX_REPLY, MAX_REPLY + 1, (1 << 32) - 1])
)


def test_answers_to_requests_and_rounds(no_runner: Callable[..., Any]) -> None:
    @few
    @given(st.booleans(), st.booleans(), HEADER, BYTES)
    def check(rounds: bool, honest_nonce: bool, header: tuple[int, int], body: bytes) -> None:
        def answer(nonce: bytes) -> bytes:
            number = int.from_bytes(nonce, "little") if honest_nonce else 7
            return ANSWER.pack(number, *header) + body

        def call(handle: RunnerHandle) -> Any:
            return handle.round(0, 1, timeout=2.0) if rounds else handle.request("ping", timeout=2.0)

        with contextlib.suppress(RunnerError):
            no_runner(answer, call)

    check()


def test_a_runner_that_reads_slowly_is_not_waited_for(no_runner: Callable[..., Any]) -> None:
    ours, theirs = socket.socketpair()
    stop = threading.Event()

    def sip() -> None:
        while not stop.wait(0.05):
            theirs.recv(1 << 14)

    dead = os.fork()
    if not dead:
        os._exit(0)
    output = Output(100)
    handle = RunnerHandle(
        role=Role.CANDIDATE, pid=dead, link=ours, output=output, group=Group(), isolated=True,
        ended=lambda: None, release=lambda handle: None,
    )  # fmt: skip
    thread = threading.Thread(target=sip, daemon=True)
    thread.start()
    began = time.monotonic()
    with pytest.raises(RunnerTimedOut), handle:
        handle.request("load", {"x": "y" * (8 << 20)}, timeout=0.5)
    assert time.monotonic() - began < 3
    stop.set()
    thread.join()
    theirs.close()
    os.waitpid(dead, 0)
    for fd in (output.reader, output.writer):
        os.close(fd)


@quick
@given(BYTES)
def test_build_records(data: bytes) -> None:
    with contextlib.suppress(ProtocolViolation):
        record = outcome(parse(data))
        assert isinstance(record["ok"], bool)
        showable(record)


@few
@given(BYTES)
def test_cache_on_disk(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    root = tmp_path_factory.mktemp("cache")
    (root / "ab" / "abcd").mkdir(parents=True)
    (root / "ab" / "abcd" / "record.json").write_bytes(data)
    (root / "ab" / "abcd" / "artifact").write_bytes(data)
    found = BuildCache(root).get("abcd")
    assert found is None or {"ok", "log"} <= set(found[0])


@few
@given(st.binary(max_size=4000))
def test_printed_bytes(data: bytes) -> None:
    drain = OutputDrain()
    output = drain.open(1000)
    os.write(output.writer, data)
    os.close(output.writer)
    drain.forget(output)
    drain.close()
    assert len(output.kept) <= 1000
    showable(output.tail())


TENSOR = st.fixed_dictionaries(
    {
        "name": st.text(max_size=8) | JSON,
        "shape": st.lists(st.sampled_from([0, 1, 7, -1, 1 << 20, 1 << 40, 1 << 62]), max_size=4) | JSON,
        "dtype": st.sampled_from(["float32", "int8", "object", ""]),
        "strides": st.lists(st.sampled_from([0, 1, 7, -1, 1 << 40]), max_size=4) | JSON,
        "kind": st.just("tensor"),
    }
)
SPEC = st.fixed_dictionaries(
    {
        "workload": st.just({"name": "w", "index": 0}) | JSON,
        "arguments": st.lists(TENSOR, max_size=3) | JSON,
        "state": st.lists(TENSOR, max_size=2) | JSON,
        "outputs": st.lists(TENSOR, min_size=1, max_size=2) | JSON,
        "flops": st.floats() | JSON,
        "bytes_required": st.integers() | JSON,
    }
)


@quick
@given(SPEC | JSON)
def test_claims_of_a_reference(value: Any) -> None:
    with contextlib.suppress(ProblemError):
        spec = claims.spec(value, WORKLOAD, PROBLEM)
        assert spec.workload == WORKLOAD
        for tensor in (*spec.tensors, *spec.state, *spec.outputs):
            assert min((*tensor.shape, *tensor.strides), default=0) >= 0
    with contextlib.suppress(ProblemError):
        claims.workloads(value, PROBLEM)
    if isinstance(value, dict):
        claims.pieces(value)


def claimed(**fields: Any) -> dict[str, Any]:
    tensor = {"name": "y", "shape": [4], "dtype": "float32", "strides": [1]}
    whole: dict[str, Any] = {
        "workload": {"name": "w", "index": 0},
        "arguments": [],
        "state": [],
        "outputs": [tensor],
    }
    return whole | fields


@pytest.mark.parametrize(
    ("shape", "strides", "words"),
    [
        ([1 << 38], [1], "smaller sizes"),
        ([1 << 38], [0], "smaller sizes"),
        ([-1], [1], "no layout"),
        ([4], [-1], "no layout"),
        ([4, 4], [1], "no layout"),
        ([1] * 40, [1] * 40, "no layout"),
        ([1 << 60], [1], "no layout"),
    ],
)
def test_impossible_tensors_are_the_problems_error(shape: list[int], strides: list[int], words: str) -> None:
    claims.spec(claimed(), WORKLOAD, PROBLEM)
    tensor = {"name": "y", "shape": shape, "dtype": "float32", "strides": strides}
    with pytest.raises(ProblemError, match=words):
        claims.spec(claimed(outputs=[tensor]), WORKLOAD, PROBLEM)


def test_workloads_of_one_name_are_refused() -> None:
    with pytest.raises(ProblemError, match="same"):
        claims.workloads([{"name": "a", "index": 0}, {"name": "a", "index": 1}], PROBLEM)


FORGED_BUILD = """
# load_inline
import json, os, struct, sys
frame = sys._getframe()
while frame and "nonce" not in frame.f_locals:
    frame = frame.f_back
report = {"digest": "forged", "cached": "forged", "seconds": -1, "arch": "sm\\nsm"}
data = json.dumps({"ok": True, "result": {"built": True, "report": report, "log": "\\x1b[2J"}}).encode()
os.write(3, struct.pack("<QII", frame.f_locals["nonce"], 0, len(data)) + data)
os._exit(0)
def run(x):
    return x
"""


@pytest.mark.needs("bubblewrap")
def test_a_builder_that_answers_for_itself(sandbox: Any) -> None:
    from kopt.words import Candidate, Language, Style

    candidate = Candidate(
        sources={"k.py": FORGED_BUILD}, language=Language.TORCH, entry="k.py::run", style=Style.RETURNING
    )
    built = sandbox.builder.build(candidate)
    assert built.ok and built.digest != "forged" and built.cached is False
    assert built.report["digest"] == "forged" and "\x1b" not in built.log


@pytest.mark.needs("bubblewrap")
def test_a_huge_artefact_is_refused(sandbox: Any) -> None:
    from kopt.words import Candidate, Language, Style

    text = FORGED_BUILD.replace("report = ", "os.truncate(4, (1 << 28) + 1)\nreport = ")
    candidate = Candidate(
        sources={"k.py": text}, language=Language.TORCH, entry="k.py::run", style=Style.RETURNING
    )
    built = sandbox.builder.build(candidate)
    assert not built.ok and built.artifact is None


@pytest.mark.needs("bubblewrap")
def test_an_error_of_odd_letters(bench: Any) -> None:
    with pytest.raises(RunnerRaised) as failed:
        bench.load("raise ValueError('\\ud800 \\x1b[31m')\ndef run(x): return x", limits=Limits())
    str(failed.value).encode()
    assert "\x1b" not in str(failed.value)
