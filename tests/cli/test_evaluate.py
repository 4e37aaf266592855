"""A correct candidate through the command: text and JSON."""

from __future__ import annotations

import json

import pytest
from cli_harness import CPP, kopt

pytestmark = [pytest.mark.needs("bubblewrap"), pytest.mark.slow]


def test_json_and_text(problem):
    (problem.parent / "k.cpp").write_text(CPP)
    done = kopt("evaluate", problem, problem.parent / "k.cpp", "--set", "rows=32", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == (0 if document["verdict"] == "correct" else 1)
    assert {"verdict", "reason", "stages", "speedup", "sandbox", "environment"} <= set(document)
    if document["verdict"] != "correct":  # a loaded machine can make times disagree; never a wrong value
        assert document["verdict"] == "tampered", document["reason"]
        return
    assert [s["name"] for s in document["stages"]][:3] == ["static", "build", "smoke"]
    for speedup in document["speedup"].values():
        assert speedup is None or speedup["low"] <= speedup["ratio"] <= speedup["high"]
    assert document["speedup"]["eager"] is not None and document["environment"]["torch"]
    text = kopt("evaluate", problem, problem.parent / "k.cpp", "--set", "rows=32").stdout
    for word in (
        "static",
        "build",
        "verify",
        "measure",
        "candidate",
        "eager",
        "worst error",
        "roofline",
        "bubblewrap",
    ):
        assert word in text, text
