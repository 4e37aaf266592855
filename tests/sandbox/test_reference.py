"""The reference's program: a real problem from loading to truth, and trusted functions beside it."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

from kopt.sandbox import Role, RunnerRaised, SharedBuffer
from tests.docker_daemon import ONE_BACKEND

PROBLEM = textwrap.dedent("""
    import torch

    class Model(torch.nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.linear = torch.nn.Linear(8, 4)
            self.factor = factor

        def forward(self, x):
            return torch.sigmoid(self.linear(x)) * self.factor

    def get_inputs():
        return [torch.randn(16, 8)]

    def get_init_inputs():
        return [2.0]
""")
SLOTS = 2


def item(name, offset, shape, dtype="float32", role="input"):
    return {
        "role": role,
        "name": name,
        "offset": offset,
        "dtype": dtype,
        "shape": shape,
        "strides": [shape[1], 1],
    }


@pytest.fixture
def reference(sandbox):
    with sandbox.spawn(Role.REFERENCE) as runner, SharedBuffer(SLOTS * 8192) as ring:
        loaded = runner.request(
            "load_problem", {"format": "model", "sources": {"p.py": PROBLEM}, "entry": "p.py"}
        )
        assert [w["name"] for w in loaded["workloads"]] == ["default"]
        runner.spec = runner.request("select", {"workload": 0, "seed": 7})["spec"]
        tensors = [item("x", 0, [16, 8]), item("y", 4096, [16, 4], role="output")]
        layout = {"slots": SLOTS, "stride": 8192, "tensors": tensors}
        runner.request("attach", {"ring": layout}, fds=[ring.fd])
        runner.request("generate", {"slots": [0, 1], "seeds": [1, 2], "distribution": "declared"})
        rows = ring.array.view(np.float32).reshape(SLOTS, 2, 1024)
        runner.x, runner.y = rows[:, 0, :128].reshape(SLOTS, 16, 8), rows[:, 1, :64].reshape(SLOTS, 16, 4)
        yield runner


def test_eager_state_and_truth(reference):
    assert [t["name"] for t in reference.spec["state"]] == ["linear.weight", "linear.bias"]
    assert reference.x.any() and not np.array_equal(reference.x[0], reference.x[1])
    reference.round(0, 2)
    assert not reference.y.any()  # kept, not copied, until asked for
    reference.request("flush", {"slots": [0, 1]})
    with SharedBuffer(8192) as state, SharedBuffer(SLOTS * 4096) as truth:
        tensors = [
            item("linear.weight", 0, [4, 8]),
            {**item("linear.bias", 4096, [4, 1]), "shape": [4], "strides": [1]},
        ]
        reference.request(
            "state", {"layout": {"slots": 1, "stride": 8192, "tensors": tensors}}, fds=[state.fd]
        )
        floats = state.array.view(np.float32)
        weight, bias = floats[:32].reshape(4, 8), floats[1024:1028]
        expected = 2 / (1 + np.exp(-(reference.x @ weight.T + bias)))
        np.testing.assert_allclose(reference.y, expected, rtol=1e-5)
        doubles = {"slots": SLOTS, "stride": 4096, "tensors": [item("y", 0, [16, 4], "float64", "output")]}
        reference.request("attach_truth", {"ring": doubles}, fds=[truth.fd])
        reference.request("truth", {"slots": [0, 1]})
        exact = truth.array.view(np.float64).reshape(SLOTS, 512)[:, :64].reshape(SLOTS, 16, 4)
        np.testing.assert_allclose(exact, expected, rtol=1e-5)
        assert not np.array_equal(exact.astype(np.float32), exact)


def test_flush_of_a_slot_that_was_not_called(reference):
    reference.round(0, 1)
    with pytest.raises(RunnerRaised, match="not in the last round"):
        reference.request("flush", {"slots": [1]})


def test_invoke_runs_only_kopts_own_functions(reference):
    with pytest.raises(RunnerRaised, match="not one of kopt's functions"):
        reference.request("invoke", {"target": "os:getpid", "args": {}})


def test_lower_precision(reference):
    reference.round(0, 1)
    reference.request("flush", {"slots": [0]})
    full = reference.y[0].copy()
    reference.request("call_precision", {"slots": [0], "dtype": "bfloat16"})
    error = np.abs(reference.y[0] - full).max()
    assert 1e-6 < error < 0.1


@ONE_BACKEND
@pytest.mark.slow
def test_compiled_baseline_and_its_cache(reference, sandbox):
    reference.round(0, 2)
    reference.request("flush", {"slots": [0, 1]})
    eager = reference.y.copy()
    reference.y[:] = 0
    with SharedBuffer(64 << 20) as cache:
        used = reference.request("use", {"implementation": "compile"}, fds=[cache.fd], timeout=200)
        assert used["cache_bytes"] > 0
    reference.round(0, 2)
    reference.request("flush", {"slots": [0, 1]})
    np.testing.assert_allclose(reference.y, eager, rtol=1e-5)
