"""What reads bytes that came out of a sandbox, as functions of bytes, with seeds to begin from.

A target raises nothing whatever it is given: declared exceptions are caught here, everything else is a finding.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import random
import socket
import struct
import tarfile
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kopt.agents.context import Context
from kopt.agents.offline.proposer import OfflineProposer
from kopt.errors import ProblemError
from kopt.problems.code import Rules
from kopt.sandbox import ProtocolViolation, Role, RunnerError
from kopt.sandbox.builder import outcome
from kopt.sandbox.cache import BuildCache
from kopt.sandbox.cgroups import Group
from kopt.sandbox.greeting import receive
from kopt.sandbox.handle import RunnerHandle, raised
from kopt.sandbox.messages import parse
from kopt.sandbox.output import Output, OutputDrain
from kopt.sandbox.runner.wire import ANSWER, ASK, REQUEST
from kopt.sandbox.zygote import Events
from kopt.verifiers import claims, elf, localise, packed, policy, sanitizer_report, symbols
from kopt.verifiers.budget import ErrorModel
from kopt.verifiers.code.compare import difference
from kopt.verifiers.compare import Expected, check_sample
from kopt.verifiers.contestant import failure_of
from kopt.verifiers.dtypes import KINDS
from kopt.verifiers.profile import gpu_loops, hot, listing, occupancy, sass
from kopt.verifiers.reference import problem_error
from kopt.words import Problem, TolerancePolicy, Workload, to_json

PROBLEM = Problem(name="p", format="model", sources={"p.py": ""}, entry="p.py")
WORKLOAD = Workload(name="w", index=0)
TENSOR = {"name": "x", "shape": [4, 8], "dtype": "float32", "strides": [8, 1], "kind": "tensor"}
SOURCES = ("k.cpp",)
RULES = [
    Rules(editable=("a.py",), run="python a.py", compare=how, atol=0.1)
    for how in ("exact", "tokens", "numbers", "float64")
]
TRACES = Path(__file__).parent / "material" / "traces.json"


def showable(value: Any) -> None:
    """It can be stored as strict JSON in UTF-8."""
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


def reply(data: bytes) -> None:
    """An answer to a request, down to the verdict it may become."""
    with contextlib.suppress(ProtocolViolation):
        found = parse(data)
        showable(found)
        error = raised(found.get("error"))
        failure = failure_of(error, "while it ran")
        showable([failure.reason, str(problem_error(PROBLEM, error))])
        assert "\n" not in failure.reason


def _dead() -> int:
    """A process that has ended and is not reaped: whatever is done to it harms nobody."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    return pid


class _Link:
    """A handle on a runner that is a thread here and answers with given bytes."""

    def __init__(self) -> None:
        self.dead = 0

    def __call__(self, data: bytes) -> None:
        self.dead = self.dead or _dead()
        ours, theirs = socket.socketpair()
        output = Output(100)
        mode, body = (data[0], data[1:]) if data else (0, b"")

        def serve() -> None:
            with contextlib.suppress(OSError):
                header = theirs.recv(ASK.size)
                if ASK.unpack(header)[0] == REQUEST:
                    theirs.recv(1 << 16)
                nonce = int.from_bytes(header[-8:], "little")
                theirs.sendall((ANSWER.pack(nonce, mode >> 6, len(body)) if mode & 1 else b"") + body)
                theirs.shutdown(socket.SHUT_WR)

        handle = RunnerHandle(
            role=Role.CANDIDATE, pid=self.dead, link=ours, output=output, group=Group(), isolated=True,
            ended=lambda: mode, release=lambda handle: None,
        )  # fmt: skip
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with contextlib.suppress(RunnerError), handle:
                handle.round(0, 1, timeout=5.0) if mode & 2 else handle.request("ping", timeout=5.0)
        finally:
            thread.join()
            theirs.close()
            for fd in (output.reader, output.writer):
                os.close(fd)


def greeting(data: bytes) -> None:
    """A runner's first line."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        theirs.sendall(data[:4096])
        theirs.close()
        found = receive(ours, timeout=5.0)
        showable([found.layers, found.failed])


def events(data: bytes) -> None:
    """What a zygote says, in pieces."""
    heard = Events()
    for piece in data.split(b"\0"):
        if not heard.feed(piece):
            return
    showable([heard.facts, list(heard.exits.values())])


def printed(data: bytes) -> None:
    """Standard output."""
    drain = OutputDrain()
    output = drain.open(512)
    os.write(output.writer, data[:4096])
    os.close(output.writer)
    drain.forget(output)
    drain.close()
    assert len(output.kept) <= 512
    showable(output.tail())


def build(data: bytes) -> None:
    """A builder's answer, as the record of a build."""
    with contextlib.suppress(ProtocolViolation):
        record = outcome(parse(data))
        assert isinstance(record["ok"], bool)
        showable(record)


class _Cache:
    """Builds on disk."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="kopt-fuzz-"))
        (self.root / "ab" / "abcd").mkdir(parents=True)
        self.cache = BuildCache(self.root)

    def __call__(self, data: bytes) -> None:
        place = self.root / "ab" / "abcd"
        place.mkdir(exist_ok=True)
        (place / "record.json").write_bytes(data)
        (place / "artifact").write_bytes(data)
        found = self.cache.get("abcd")
        assert found is None or "log" in found[0]


def claim(data: bytes) -> None:
    """What a reference says of its workloads, tensors and parts."""
    with contextlib.suppress(ProtocolViolation):
        found = parse(data)
        with contextlib.suppress(ProblemError):
            claims.spec(found.get("spec"), WORKLOAD, PROBLEM)
        with contextlib.suppress(ProblemError):
            claims.workloads(found.get("workloads"), PROBLEM)
        claims.pieces(found)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [leaf for key, item in items for leaf in _leaves(item, (*path, key))]


class _Trace:
    """A traced graph with some of its parts replaced, through reading and code generation."""

    ODD = (
        None,
        True,
        -1,
        0,
        1,
        2,
        1 << 40,
        1.5,
        "",
        "x",
        "aten.mm.default",
        [],
        [0],
        [1, -1],
        {},
        {"ref": "x"},
        "int8",
    )

    def __init__(self) -> None:
        self.seeds: list[Any] = []

    def __call__(self, data: bytes) -> None:
        self.seeds = self.seeds or json.loads(TRACES.read_text())
        choose = random.Random(data)
        trace = copy.deepcopy(choose.choice(self.seeds))
        paths = _leaves(trace)
        for _ in range(choose.randint(0, 3)):
            path = choose.choice(paths)
            with contextlib.suppress(LookupError, TypeError):
                place = trace
                for key in path[:-1]:
                    place = place[key]
                other = choose.choice(paths)
                value = choose.choice(self.ODD)
                if choose.random() < 0.3:
                    value = trace
                    for key in other:
                        value = value[key]
                place[path[-1]] = copy.deepcopy(value)
        proposer = OfflineProposer()
        made = 0
        for candidate in proposer.propose(Context(problem=PROBLEM, graph=trace, machine={"cores": 2})):
            made += sum(map(len, candidate.sources.values()))
            assert made < 1 << 24
        showable(proposer.explain())


class _Outputs:
    """Output bytes in the judge's memory, compared with what is expected."""

    def __init__(self) -> None:
        self.cases: dict[str, tuple[Expected, ErrorModel, Any]] = {}

    def _case(self, dtype: str) -> tuple[Expected, ErrorModel, Any]:
        if dtype not in self.cases:
            raw = np.arange(512) % 7
            kind = KINDS[dtype]
            stored = raw.astype("f4").view("u4") >> 16 if dtype == "bfloat16" else raw
            stored = stored.astype(kind.storage)
            truth = raw.astype("f8") if kind.floating else stored
            model = ErrorModel(dtype, TolerancePolicy())
            model.add(truth, stored)
            self.cases[dtype] = (Expected.of(model, dtype, truth, stored), model, stored)
        return self.cases[dtype]

    def __call__(self, data: bytes) -> None:
        dtype = sorted(KINDS)[data[0] % len(KINDS)] if data else "float32"
        expected, model, stored = self._case(dtype)
        filled = stored.copy()
        raw = filled.view("u1")
        raw[: min(len(data), raw.size)] = np.frombuffer(data[: raw.size], "u1")
        for found in (expected.check(filled), check_sample(model, dtype, filled, stored)):
            assert found.passed or found.count > 0 or found.why
            assert not found.passed or not (raw[:1] != stored.view("u1")[:1]).any() or found.ratio <= 1.0


def imports(data: bytes) -> None:
    """What a build left, as an object or as a packet of objects."""
    with contextlib.suppress(elf.Malformed):
        elf.read(memoryview(data), elf.Allowance())
    with contextlib.suppress(ValueError):
        assert sum(map(len, packed.files(memoryview(data)))) <= len(data)
    for alone in (True, False):
        names = symbols.foreign(data, alone=alone)
        showable(names)
        assert all(name.isprintable() for name in names)


def localised(data: bytes) -> None:
    """Where a reference's runner says that a result went wrong."""
    with contextlib.suppress(ProtocolViolation):
        found = localise.read(parse(data).get("found"))
        if found is not None:
            showable(to_json(found))
            assert all(line.isprintable() for line in localise.lines(found))


def disassembled(data: bytes) -> None:
    """A profiled build, for processors and for GPUs: JSON, or else the lines of a disassembler."""
    if not data.startswith(b"{"):
        lines = data.decode("utf-8", "replace").split("\n")
        data = json.dumps({"assembly": lines, "remarks": lines, "sass": lines}).encode()
    found = listing.read(data, SOURCES)
    showable(to_json(hot.loops(found)))
    for function in (*sass.read(data, SOURCES), *sass.functions(listing.raw(data), SOURCES)):
        showable(to_json(gpu_loops.hot(function)))


def kernels(data: bytes) -> None:
    """What a builder's report says of GPU kernels."""
    with contextlib.suppress(ProtocolViolation):
        showable(to_json(occupancy.kernels(parse(data))))


def sanitized(data: bytes) -> None:
    """What a program printed under a sanitizer."""
    text = data.decode("utf-8", "replace")
    fault = sanitizer_report.find(text, SOURCES)
    showable([str(fault), sanitizer_report.reached_its_end(text)])
    assert fault is None or fault.text.isprintable()


def compared(data: bytes) -> None:
    """What a program printed, against what it should have."""
    expected, _, got = data.partition(b"\0|")
    for rules in RULES:
        told = difference(rules, expected, got)
        showable(told)
        assert difference(rules, expected, expected) in (
            None,
            "what the original prints is no list of numbers",
        )


def operators(data: bytes) -> None:
    """What a candidate's runner says it calls."""
    with contextlib.suppress(ProtocolViolation):
        uses = list(policy.operators(parse(data)))
        showable(to_json([use for _, use in uses]))
        assert all(use.bytes >= 0 <= use.flops for _, use in uses)


@dataclass(frozen=True)
class Target:
    """``share`` of all inputs; ``seeds`` for the mutator."""

    call: Callable[[bytes], None]
    share: float
    seeds: tuple[bytes, ...] = (b"",)


def _json(*values: Any) -> tuple[bytes, ...]:
    return tuple(json.dumps(value).encode() for value in values)


ERROR = {"kind": "import", "type": "E", "message": "m\nn", "file": "k.py", "line": 3, "trace": "t"}
SPEC = {
    "workload": {"name": "w", "index": 0},
    "arguments": [TENSOR],
    "state": [],
    "outputs": [TENSOR],
    "flops": 1.0,
}
CLAIM = {"spec": SPEC, "workloads": [{"name": "w", "index": 0, "axes": {"n": 1}}], "operations": [[0, 1, "mul"]],
         "state": ["w"], "neutral": {"b": "zeros"}}  # fmt: skip
FOUND = {"output": "y", "index": [0, 1], "region": [{"first": 0, "last": 3, "every": 1, "size": 8}], "solid": True,
         "steps": [{"number": 1, "name": "mul", "line": 3, "shape": [4], "value": 1.5, "low": 0.0, "high": 2.0}],
         "likeness": {"kind": "factor", "step": 1, "name": "b", "value": 0.5, "axis": 0}}  # fmt: skip
OPERATORS = {"operators": {"aten::mul": ["work", 2, 64, 1.0], "numpy::exp": ["move", 1, 8, 0]}}
KERNELS = {
    "kernels": [
        {"name": "_Z1kPf", "arch": "sm_90", "registers": 40, "shared_bytes": 0, "spill_store_bytes": 8}
    ]
}
CPU = """0000000000001000 <f>:
./k.cpp:7
    1000:\tvmovss xmm0,DWORD PTR [rdi+rdx*4]
    1004:\tinc    rdx
    1008:\tjne    1000 <f>
k.cpp:7:3: missed: couldn't vectorize loop
"""
GPU = """\t.section\t.text.k,"ax",@progbits
.L_x_1:
//## File "k.cpp", line 7
        /*0000*/                   LDG.E R5, desc[UR8][R4.64] ;
        /*0010*/              @!P0 BRA `(.L_x_1) ;
"""
REPORT = """kopt: tensor x 0x1000 4000
==1==ERROR: AddressSanitizer: use-after-poison on address 0x1fa4 at pc 0x1
WRITE of size 4 at 0x1fa4 thread T0
    #0 0x55 in kernel k.cpp:12

k.cpp:3:5: runtime error: signed integer overflow
kopt: done
"""
RECORD = {"ok": True, "log": "", "first_error": None, "report": {}, "artifact": None}


def _object() -> bytes:
    """A small shared object: two symbols, a relocation of each kind, both hash tables."""
    tables = {5: b"\0dlopen\0libm.so.6\0", 6: struct.pack("<IBBHQQ", 1, 18, 0, 0, 0, 0) * 3,
              4: struct.pack("<2I", 0, 3), 7: struct.pack("<QQq", 0, 1 << 32 | 6, 0),
              23: struct.pack("<QQq", 8, 2 << 32 | 7, 0),
              0x6FFFFEF5: struct.pack("<4IQI", 1, 3, 1, 0, 0, 0)}  # fmt: skip
    tags, body = [(1, 8), (10, len(tables[5])), (8, 24), (2, 24), (20, 7)], b""
    for tag, table in tables.items():
        tags.append((tag, 448 + len(body)))
        body += table
    dynamic = b"".join(struct.pack("<QQ", *pair) for pair in [*tags, (0, 0)])
    size = 448 + len(body)
    head = struct.pack("<4sBBB9x2HI3QI6H", b"\x7fELF", 2, 1, 1, 3, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    parts = struct.pack(
        "<2I6Q2I6Q", 1, 4, 0, 0, 0, size, size, 4096, 2, 4, 176, 176, 176, len(dynamic), 192, 8
    )
    return (head + parts + dynamic).ljust(448, b"\0") + body


def _packet(data: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("m/m.so")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()[:2048]


TARGETS = {
    "reply": Target(reply, 0.2, _json({"ok": True, "result": {}}, {"ok": False, "error": ERROR})),
    "link": Target(_Link(), 0.02, (b"\x01{}", b"\x03", b"\x00" + bytes(16), b'\x01{"ok":true,"result":{}}')),
    "greeting": Target(greeting, 0.06, (b'{"layers": {"seccomp": true}, "pid": 1}\n', b'{"failed": "why"}\n')),
    "events": Target(events, 0.1, (b'{"event": "ready", "facts": {}}\n\0{"event": "exit", "id": 1, "status": 9}\n',)),
    "printed": Target(printed, 0.01, (b"text\x1b[2J",)),
    "build": Target(build, 0.12, _json({"built": True, "log": "", "report": {"a": 1}, "first_error": "e"})),
    "cache": Target(_Cache(), 0.02, _json(RECORD)),
    "claim": Target(claim, 0.13, _json(CLAIM)),
    "trace": Target(_Trace(), 0.04, (b"a", b"b")),
    "outputs": Target(_Outputs(), 0.1, (bytes(64), b"\x07" * 300)),
    "imports": Target(imports, 0.06, (_object(), _packet(_object()))),
    "localised": Target(localised, 0.02, _json({"found": FOUND})),
    "disassembled": Target(disassembled, 0.03, (CPU.encode(), GPU.encode(), *_json({"sass": [GPU]}))),
    "kernels": Target(kernels, 0.01, _json(KERNELS)),
    "sanitized": Target(sanitized, 0.03, (REPORT.encode(),)),
    "compared": Target(compared, 0.03, (b"1 2.5\0|1 2.5", b"a\r\nb\0|a b", bytes(16) + b"\0|" + bytes(16))),
    "operators": Target(operators, 0.02, _json(OPERATORS)),
}  # fmt: skip
