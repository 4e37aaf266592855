"""`kopt optimize --strategy evolve` with nothing replaced but the models: two scripted ones behind one server."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from cli_harness import CPP, kopt

sys.path.append(str(Path(__file__).parent.parent / "agents"))

from fake_openai import FakeOpenAI, say

pytestmark = [pytest.mark.needs("bubblewrap", "litellm", "tree_sitter"), pytest.mark.slow]
LOOP = "for (int64_t i = 0; i < n; ++i)"


class Models:
    """``dull`` always answers the same; ``keen`` breaks its first kernel, repairs it and varies what it is shown."""

    def __init__(self):
        self.improved = 0

    def __call__(self, body):
        usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
        return say(f"One pass.\n```cpp\n{self.code(body)}```\n", usage=usage)

    def code(self, body):
        asked = body["messages"][-1]["content"]
        if body["model"] == "dull":
            return CPP
        if "first version" in asked:
            return CPP.replace("x.size(1);", "x.size(1)")
        if "critical issue" in asked:
            return CPP.replace(LOOP, "#pragma omp simd\n  " + LOOP)
        self.improved += 1
        return CPP.replace(LOOP, f"#pragma GCC unroll {1 + self.improved}\n  " + LOOP)


def test_evolve_breeds_with_two_models_and_its_options_are_part_of_the_run(problem, home):
    home["KOPT_MODEL_KEY"] = "sk-test"
    with FakeOpenAI(Models()) as server:
        names = [f"openai/{name}@{server.url}" for name in ("dull", "keen")]
        models = [part for name in names for part in ("--model", name, "--price", f"{name}=1,4")]
        options = ["--strategy", "evolve", "--population", "4", "--islands", "2", "--seed", "5"]
        done = kopt(
            "optimize", problem, *models, *options, "--budget-evaluations", "7", "--budget-seconds", "400", "--json",
            env=home, timeout=290,
        )  # fmt: skip
        asked = {request["model"] for request in server.requests}
    assert done.returncode in (0, 1), done.stderr
    result = json.loads(done.stdout)
    assert asked == {"dull", "keen"} and result["spent"]["dollars"] > 0
    shown = json.loads(kopt("runs", "show", result["run"], "--json", env=home).stdout)
    assert shown["run"]["strategy"] == "evolve"
    kept = shown["run"]["options"]["strategy"]
    assert (kept["population"], kept["islands"], kept["seed"]) == (4, 2, 5)
    made = [(m["candidate"], m["effort"]) for m in shown["evaluations"]]
    assert 3 <= len(made) == len(set(made)) <= 7 and [effort for _, effort in made[-1:]] == ["full"]
    roles = {m["notes"]["role"] for m in shown["evaluations"]}
    assert "writer" in roles
