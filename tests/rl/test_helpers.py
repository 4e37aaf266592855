"""All that helps models, at once: a real run over a scripted server, and its resumption, which asks nothing twice."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "agents"))

from fake_openai import FakeOpenAI, say

from kopt.rl.optimize import optimize, resume
from kopt.settings import Settings
from kopt.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.needs("bubblewrap", "litellm", "objdump", "tree_sitter")]

PROBLEM = """import torch

axes = {"n": None}
inputs = {"x": {"shape": ["n", 512], "values": "normal"}}
outputs = ["y"]
workloads = {"one": {"n": 64}}
held_out = {"odd": {"n": 7}}
smoke = {"n": 2}


def reference(x: torch.Tensor) -> torch.Tensor:
    return torch.exp(-x.abs())
"""
KERNEL = """#include <cmath>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
void kernel(tvm::ffi::TensorView a, tvm::ffi::TensorView c) {
  const float* x = static_cast<const float*>(a.data_ptr());
  float* y = static_cast<float*>(c.data_ptr());
#pragma omp parallel for SCHEDULE
  for (int64_t i = 0; i < a.numel(); ++i) y[i] = std::exp(-std::fabs(x[i]));
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, kernel);
"""
SCHEDULES = ["", "schedule(dynamic,1)", "schedule(static,64)", "schedule(static,128)"]
PLAN = {"passes": ["one"], "threads": "rows", "vectors": "columns", "tiles": "none", "precision": "none"}
OTHER = {"inputs": [{"name": "x", "kind": "uniform", "first": 50.0, "second": 60.0}], "why": "large values"}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


class Model:
    """Answers in every role, and remembers what it was asked as."""

    def __init__(self):
        self.roles, self.written = [], 0

    def __call__(self, body):
        asked = body["messages"][-1]["content"]
        if "Plan the kernel" in asked:
            return self.say("planner", json.dumps(PLAN))
        if "You review" in asked:
            veto = "schedule(dynamic,1)" in asked
            return self.say(
                "reviewer", json.dumps({"veto": veto, "reason": "`dynamic,1` thrashes" if veto else ""})
            )
        if "Two candidates" in asked:
            return self.say("adversary", json.dumps(OTHER))
        revised, improved = "`dynamic,1` thrashes" in asked, "bottleneck: " in asked
        role = "revised" if revised else "optimiser" if improved else "writer"
        if "one critical issue" in asked:
            role = "repairer" if "the value of step 2, neg(): what follows it is missing" in asked else asked
        if role == "optimiser" and "as profiled" not in asked:
            role = "optimiser without a profile"
        code = KERNEL.replace("SCHEDULE", SCHEDULES[self.written % len(SCHEDULES)])
        if role == "writer":
            return self.say(role, f"Like this.\n```cpp\n{code.replace('std::exp', '')}```\n")
        self.written += 1
        return self.say(role, f"Do it.\n```cpp\n{code}```\n")

    def say(self, role, text):
        self.roles.append(role)
        return say(text, usage=USAGE)


def test_a_run_with_all_helpers_and_its_resumption(tmp_path, furnished):
    (tmp_path / "decay.py").write_text(PROBLEM)
    settings, model = Settings(home=furnished(tmp_path / "home"), model_key="sk-test"), Model()
    with FakeOpenAI(model) as server:
        name = f"openai/toy@{server.url}"
        result = optimize(
            tmp_path / "decay.py", models=[name], prices=[f"{name}=2,10"], allow_weak=True, settings=settings,
            budget_seconds=400, budget_evaluations=4,
            options={"plan": 1, "review": 1, "adversary": 1, "profiles": 1},
        )  # fmt: skip
        first = ["planner", "writer", "reviewer", "repairer", "reviewer", "optimiser", "reviewer", "revised"]
        first.append("adversary")
        assert model.roles == first
        assert result.spent["tokens"] == 1100 * len(first) and result.spent["evaluations"] == 4
        again = resume(result.run, budget_evaluations=5, settings=settings)
    more = model.roles[len(first) :]
    assert 0 < len(more) <= 2 and more[0].startswith("optimiser")  # the past is not asked again
    assert again.spent["tokens"] == 1100 * len(model.roles)
    with Store(settings.database_url) as store:
        events = [event.kind for event in store.events(result.run)]
        made = [(one.effort, one.evaluation.verdict.value) for one in store.evaluations(result.run)]
    assert made[0] == ("quick", "wrong") and len(made) == 5
    assert made[1:4] == [("quick", "correct"), ("quick", "correct"), ("full", "correct")]
    assert events.count("candidate.profiled") == 1
    assert events.index("candidate.vetoed") < events.index("run.challenged")
