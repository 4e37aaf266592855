"""The policy a user names reaches the judge and the record."""

from __future__ import annotations

import json

import pytest
from cli_harness import kopt

pytestmark = [pytest.mark.needs("bubblewrap"), pytest.mark.slow]


def test_strict_refuses_what_the_default_names(problem):
    source = problem.parent / "delegates.py"
    source.write_text("import torch\ndef run(x):\n    return torch.relu(x) * 2.0 + 1.0\n")
    done = kopt("evaluate", problem, source, "--set", "rows=32", "--policy", "strict", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 1 and document["verdict"] == "rejected", document["reason"]
    assert "aten::relu" in document["reason"] and document["policy"] == "strict"
    document = json.loads(kopt("evaluate", problem, source, "--set", "rows=32", "--json").stdout)
    assert document["policy"] == "allow-library"
    assert "aten::relu" in [use["name"] for use in document["delegation"]["operators"]]
    wrong = kopt("evaluate", problem, source, "--policy", "lenient")
    assert wrong.returncode == 2
