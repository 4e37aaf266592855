"""The protocol: load, attach, rounds, errors, freezing, and what a runner cannot get away with."""

from __future__ import annotations

import fcntl
import os
import signal
import time

import numpy as np
import pytest

from kopt.sandbox import (
    ProtocolViolation,
    Role,
    RunnerCrashed,
    RunnerError,
    RunnerRaised,
    RunnerTimedOut,
    SharedBuffer,
)
from tests.docker_daemon import ONE_BACKEND


def test_returning_function(bench):
    runner = bench.load("def run(x):\n    return 2 * x\n")
    assert runner.round(0, 2) > 0
    np.testing.assert_array_equal(bench.y, 2 * bench.x)


def test_destination_function(bench):
    runner = bench.load("def run(x, y):\n    y.copy_(x).mul_(3)\n", style="destination")
    runner.round(1, 1)
    np.testing.assert_array_equal(bench.y[1], 3 * bench.x[1])
    assert np.isnan(bench.y[0]).all()


def test_module_gets_init_seed_and_state(bench):
    source = """
    import torch
    class ModelNew(torch.nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.factor, self.weight = factor, torch.nn.Parameter(torch.zeros(1024))
            self.prepared = self.weight.detach() / 2
        def forward(self, x):
            return self.factor * x + self.weight + 2 * self.prepared
    """
    with SharedBuffer(4096) as state:
        state.array.view(np.float32)[:] = 7
        item = {"name": "weight", "offset": 0, "dtype": "float32", "shape": [1024], "strides": [1]}
        layout = {"slots": 1, "stride": 4096, "tensors": [item]}
        with state.lent(writable=False) as fd:
            runner = bench.load(source, entry="ModelNew", init=[4.0], state=(layout, fd))
        runner.round(0, 2)
    np.testing.assert_allclose(bench.y, 4 * bench.x + 14, rtol=1e-5, atol=1e-5)


def test_scalars_come_from_the_spec(bench):
    x = {"kind": "tensor", "name": "x", "shape": [1024], "dtype": "float32", "strides": [1]}
    spec = {"arguments": [x, {"kind": "scalar", "name": "k", "value": 5}], "state": [], "outputs": [x]}
    bench.load("def run(x, k):\n    return k * x\n", spec=spec).round(0, 2)
    np.testing.assert_array_equal(bench.y, 5 * bench.x)


def test_a_view_may_be_returned_as_the_reference_returns_it(bench):
    y = {
        "kind": "tensor",
        "name": "y",
        "shape": [1024],
        "dtype": "float32",
        "strides": [1],
        "view_strides": [2],
    }
    body = "def run(x):\n    return x.repeat_interleave({0})[::{0}]\n"
    for step in (1, 2):  # as the ring has it, as the reference has it
        bench.y[:] = np.nan
        bench.load(body.format(step), spec={"outputs": [y]}).round(0, 2)
        np.testing.assert_array_equal(bench.y, bench.x)
    with pytest.raises(RunnerRaised, match="strides"):
        bench.load(body.format(3), spec={"outputs": [y]}).round(0, 2)
    with pytest.raises(RunnerRaised, match="strides"):
        bench.load(body.format(2)).round(0, 2)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return x[:5]", "shape"),
        ("return x.double()", "dtype"),
        ("return 1.0", "float"),
        ("return x, x", "2 outputs"),
        ("return x.to_sparse()", "sparse"),
    ],
)
def test_bad_outputs_are_named(bench, body, words):
    runner = bench.load(f"def run(x):\n    {body}\n")
    with pytest.raises(RunnerRaised, match=words) as error:
        runner.round(0, 1)
    assert error.value.kind == "bad_output"
    assert runner.round(0, 0) > 0  # and the runner goes on


def test_error_tells_file_and_line(bench):
    runner = bench.load("def run(x):\n    y = x\n    raise ValueError('no luck')\n")
    with pytest.raises(RunnerRaised, match="no luck") as error:
        runner.round(0, 1)
    assert (error.value.type, error.value.file, error.value.line) == ("ValueError", "c.py", 3)


def test_missing_symbol(bench):
    with pytest.raises(RunnerRaised, match="defines no run") as error:
        bench.load("x = 1\n")
    assert error.value.kind == "import"


def test_crash_tells_the_signal(bench):
    runner = bench.load("import ctypes\ndef run(x):\n    ctypes.string_at(8)\n")
    with pytest.raises(RunnerCrashed, match="SIGSEGV") as error:
        runner.round(0, 1)
    assert error.value.signal == signal.SIGSEGV
    assert not runner.alive


def test_exit_is_a_crash(bench):
    runner = bench.load("import os\ndef run(x):\n    print('PASSED', flush=True)\n    os._exit(0)\n")
    with pytest.raises(RunnerCrashed, match="exited with status 0"):
        runner.round(0, 1)
    assert "PASSED" in runner.output_tail()


def test_hang_is_ended_in_time(bench):
    source = (
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef run(x):\n    while True: pass\n"
    )
    runner = bench.load(source)
    started = time.monotonic()
    with pytest.raises(RunnerTimedOut):
        runner.round(0, 1, timeout=0.3)
    assert time.monotonic() - started < 2
    assert not runner.alive
    with pytest.raises(RunnerCrashed):
        runner.round(0, 0)


FORGE = """
import os, socket, struct, threading, time
link = socket.socket(fileno=os.dup(3))
{code}
def run(x):
    return 2 * x
"""


@pytest.mark.parametrize(
    "code",
    [
        "link.send(struct.pack('<QII', 0, 0, 0))",
        "link.send(struct.pack('<QII', 0, 0, 1 << 30) + b'x' * 100000)",
        "link.send(b'\\x80\\x04pickle')",
        "link.setblocking(False)\ntry:\n    while True: link.send(b'A' * 999)\nexcept OSError: pass",
    ],
    ids=["early answer", "huge length", "pickle", "flood"],
)
def test_forged_messages(bench, code):
    with pytest.raises(RunnerError) as error:
        bench.load(FORGE.format(code=code)).round(0, 1)
    assert isinstance(error.value, ProtocolViolation)


@pytest.mark.parametrize(
    "payload",
    ["b'[' * 100000", "b'\\xff\\xfe{}'", "b'{\"ok\": NaN' ", "b'{\"a\":' * 500 + b'1' + b'}' * 500", "b'[]'"],
)
def test_malformed_replies(bench, payload):
    code = f"""
import sys
sys.modules['kopt_runner.loop']._answer = lambda program, message, fds: {payload}
"""
    with pytest.raises(ProtocolViolation):
        bench.load(FORGE.format(code=code))


def test_answer_by_a_thread_does_not_pass_the_nonce(bench):
    code = """
def spam():
    while True:
        time.sleep(0.01)
        try: link.send(struct.pack('<QII', 0, 0, 0))
        except OSError: return
threading.Thread(target=spam, daemon=True).start()
"""
    with pytest.raises(ProtocolViolation):
        runner = bench.load(FORGE.format(code=code))
        for _ in range(50):
            time.sleep(0.01)
            runner.round(0, 1)


def test_freeze_stops_every_thread_and_child(bench):
    source = """
    import os, threading, time
    def count(y, place):
        while True: y[place] += 1
    def run(x, y):
        y.zero_()
        if not os.fork():  # before there is a thread: a child may wait for ever for a lock that one held
            os.setsid()
            if os.fork(): os._exit(0)
            count(y, 1)
        threading.Thread(target=count, args=(y, 0), daemon=True).start()
    """
    runner = bench.load(source, style="destination")
    runner.round(0, 1)
    deadline = time.monotonic() + 10
    while not (bench.y[0, :2] > 0).all() and time.monotonic() < deadline:
        time.sleep(0.05)
    runner.freeze()
    before = bench.y[0, :2].copy()
    time.sleep(0.1)
    assert (before > 0).all()
    np.testing.assert_array_equal(bench.y[0, :2], before)
    runner.thaw()
    time.sleep(0.2)
    assert (bench.y[0, :2] > before).all()
    runner.kill()
    after = bench.y[0, :2].copy()
    time.sleep(0.1)
    np.testing.assert_array_equal(bench.y[0, :2], after)


def test_same_sealed_ring_serves_the_next_candidate(bench):
    bench.load("def run(x):\n    return x\n").kill()
    with pytest.raises(OSError, match="not permitted"):
        fcntl.fcntl(bench.buffer.fd, 1033, 16)  # sealed against further seals before a candidate had it
    with pytest.raises(OSError, match="not permitted"):
        os.ftruncate(bench.buffer.fd, 10)
    bench.load("def run(x):\n    return x\n").round(0, 2)
    np.testing.assert_array_equal(bench.y, bench.x)


def test_state_cannot_be_written(bench):
    source = """
    import torch
    def run(x, w):
        w[0] = 1.0
        return x
    """
    with SharedBuffer(4096) as state:
        item = {"name": "w", "offset": 0, "dtype": "float32", "shape": [4], "strides": [1]}
        layout = {"slots": 1, "stride": 4096, "tensors": [item]}
        with state.lent(writable=False) as fd:
            runner = bench.load(source, state=(layout, fd))
        with pytest.raises(RunnerCrashed):
            runner.round(0, 1)
        assert not state.array.any()


@ONE_BACKEND
@pytest.mark.timing
def test_hundreds_of_runners_end_unheard(sandbox):
    # Nobody asks how a runner ended that was killed: what the zygote says of it must not fill its socket.
    first = sandbox.spawn(Role.REFERENCE)
    for _ in range(400):
        sandbox.spawn(Role.CANDIDATE).kill()
    assert first.alive
    first.kill()


def test_costs(sandbox, bench):
    spawns = []
    for _ in range(5):
        started = time.monotonic()
        with sandbox.spawn(Role.CANDIDATE):
            spawns.append(time.monotonic() - started)
    assert min(spawns) < 0.1
    runner = bench.load("def run(x):\n    return x\n")
    rounds = sorted(runner.round(0, 0) for _ in range(500))
    assert rounds[50] < 60e-6
