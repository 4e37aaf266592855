"""Profiles for the optimiser: once a candidate, within the budget a run began with, kept for its resumption."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from rl_doubles import PROBLEM, candidate, evaluation

from kopt.errors import KoptError
from kopt.rl.evidence import ONE, PROFILED, SHARE, Profiles
from kopt.rl.ledger import Ledger
from kopt.verifiers import Effort, Evaluator
from kopt.words import Bottleneck, BottleneckName, Candidate, Language, Problem, Profile, Style

DIVIDES = Profile(bottleneck=Bottleneck(name=BottleneckName.DIVISION, evidence=("it divides",)))


class Looked(Profiles):
    """Its look at a candidate is a double's: a table, or an error."""

    def __init__(self, folder, ledger, most=12, found=DIVIDES):
        self.looked, self.told, self._found = [], [], found
        evaluator = SimpleNamespace(
            settings=SimpleNamespace(home=folder),
            environment={"cpu": "toy", "cores": 2},
            problem=PROBLEM,
            observe=lambda kind, facts: self.told.append((kind, facts)),
        )
        super().__init__(evaluator, ledger, most)

    def _profile(self, of, judged):
        self.looked.append(of.notes["title"])
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


def ask(profiles, *names):
    return [profiles(candidate(name), evaluation(candidate(name), 1.5)) for name in names]


def test_each_candidate_is_profiled_once_and_paid_for(tmp_path):
    ledger = Ledger({})
    profiles = Looked(tmp_path, ledger)
    assert ask(profiles, "a", "a", "b") == [DIVIDES] * 3 and profiles.looked == ["a", "b"]
    assert ledger.spent["device_seconds"] == sum(facts["seconds"] for _, facts in profiles.told)
    assert ledger.spent["evaluations"] == 0
    kind, facts = profiles.told[0]
    assert kind == PROFILED and facts["candidate"] == candidate("a").digest
    assert facts["bottleneck"]["name"] == "division"


def test_a_resumed_run_finds_them_again_and_pays_nothing(tmp_path):
    ask(Looked(tmp_path, Ledger({})), "a")
    ledger = Ledger({})
    again = Looked(tmp_path, ledger)
    assert ask(again, "a") == [DIVIDES] and again.looked == [] and again.told == []
    assert "device_seconds" not in ledger.spent
    for file in (tmp_path / "profiles").rglob("*.json"):
        file.write_text('{"reply": {"bottleneck": "?"}}')
    assert ask(Looked(tmp_path, Ledger({})), "a") == [DIVIDES]  # what cannot be read is made anew


def test_their_number_is_bounded_by_the_option_and_the_budget_it_began_with(tmp_path):
    names = ["a", "b", "c", "d"]
    assert ask(Looked(tmp_path / "1", Ledger({}), most=2), *names, "a") == [DIVIDES] * 2 + [None] * 2 + [
        DIVIDES
    ]
    seconds = 3 * ONE / SHARE
    for resource in ("seconds", "device_seconds"):
        assert ask(Looked(tmp_path / resource, Ledger({resource: seconds})), *names).count(DIVIDES) == 3
    more = Ledger({"seconds": 100 * seconds}, began={"seconds": seconds})
    assert ask(Looked(tmp_path / "4", more), *names).count(DIVIDES) == 3


def test_no_device_time_or_no_luck_is_no_profile(tmp_path):
    spent = Ledger({"device_seconds": 100.0}, spent={"device_seconds": 100.0})
    assert ask(Looked(tmp_path, spent), "a") == [None]
    ledger = Ledger({})
    assert ask(Looked(tmp_path, ledger, found=KoptError("gone")), "a", "a") == [None, None]
    assert ledger.spent["device_seconds"] >= 0  # the look was made


KERNEL = """#include <cmath>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
void kernel(tvm::ffi::TensorView a, tvm::ffi::TensorView c) {
  const float* x = static_cast<const float*>(a.data_ptr());
  float* y = static_cast<float*>(c.data_ptr());
#pragma omp parallel for
  for (int64_t i = 0; i < a.numel(); ++i) y[i] = x[i] / (1.0f + std::exp(-x[i]));
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, kernel);
"""
SILU = """import torch
class Model(torch.nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)
def get_inputs():
    return [torch.randn(128, 512)]
def get_init_inputs():
    return []
"""


@pytest.mark.slow
@pytest.mark.needs("bubblewrap", "objdump")
def test_a_real_candidate_is_profiled_without_being_judged_again(settings):
    problem = Problem(name="silu", format="model", sources={"silu.py": SILU}, entry="silu.py", path="silu.py")
    kernel = Candidate(
        sources={"k.cpp": KERNEL}, language=Language.CPP, entry="k.cpp::run", style=Style.DESTINATION
    )
    events = []
    with Evaluator(
        problem, settings=settings, observer=lambda kind, facts: events.append((kind, facts))
    ) as evaluator:
        judged = evaluator.evaluate(kernel, effort=Effort.QUICK)
        assert judged.correct and judged.profile is None, judged.reason
        events.clear()
        ledger = Ledger({})
        found = Profiles(evaluator, ledger, 12)(kernel, judged)
    assert found is not None and found.bottleneck.evidence
    assert found.seconds == judged.timing["candidate"].median and found.loops
    assert 0 < ledger.spent["device_seconds"] < 60
    stages = {facts["name"] for kind, facts in events if kind == "stage"}
    assert stages == {"static", "build"}  # cached; neither verified nor timed against anything
    told = replace(judged, profile=found)
    assert told.profile.bottleneck.name in BottleneckName
