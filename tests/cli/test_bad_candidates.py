"""Candidates that misbehave: the right verdict, a reason in one line, status 1, nothing left running."""

from __future__ import annotations

import json
import time

import pytest
from cli_harness import CPP, kopt

pytestmark = [pytest.mark.needs("bubblewrap"), pytest.mark.slow]

LOOP = "for (int64_t i = 0; i < n; ++i)"
BAD = {
    "does not compile": ("k.cpp", CPP.replace("const int64_t n", "const int64_t m"), {"build_failed"}),
    "hangs": (
        "k.cpp",
        CPP.replace(LOOP, "volatile int forever = 1; while (forever) {}\n" + LOOP),
        {"timed_out"},
    ),
    "crashes": ("k.cpp", CPP.replace(LOOP, "*(volatile int*)8 = 1;\n" + LOOP), {"crashed"}),
    "allocates without end": (
        "k.py",
        "import torch\ndef run(x):\n    kept = []\n    while True: kept.append(torch.ones(1 << 26))\n",
        {"crashed", "timed_out"},
    ),
    "prints a gigabyte": (
        "k.py",
        "import os, torch\ndef run(x):\n    b = b'x' * (1 << 20)\n    for _ in range(1024): os.write(1, b)\n"
        "    return torch.zeros_like(x)\n",
        {"wrong", "timed_out"},
    ),
    "wrong shape": ("k.py", "def run(x): return x[:3]\n", {"wrong", "rejected", "crashed"}),
    "not a tensor": ("k.py", "def run(x): return 'text'\n", {"wrong", "rejected", "crashed"}),
    "raises": ("k.py", "def run(x): raise RuntimeError('my reason')\n", {"crashed", "wrong"}),
    "wrong values": ("k.cpp", CPP.replace("+ 1.0f", "+ 1.001f"), {"wrong"}),
    "returns at once": ("k.py", "import os\ndef run(x): os._exit(0)\n", {"crashed"}),
}


@pytest.mark.parametrize("kind", BAD)
def test_verdict_reason_and_status(kind, problem):
    name, text, verdicts = BAD[kind]
    (problem.parent / name).write_text(text)
    began = time.monotonic()
    done = kopt("evaluate", problem, problem.parent / name, "--json", env={"KOPT_CALL_SECONDS": "5"})
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"] in verdicts, document["reason"]
    assert document["reason"] and "\n" not in document["reason"] and len(document["reason"]) < 1000
    assert document["speedup"] == {"eager": None, "compile": None}
    assert not document["stages"][-1]["passed"] and document["sandbox"]["backend"] == "bubblewrap"
    assert len(done.stdout) < 1_000_000 and len(done.stderr) < 10_000
    assert time.monotonic() - began < 150


def test_wrong_values_are_told_with_place_and_both_values(problem):
    (problem.parent / "k.cpp").write_text(BAD["wrong values"][1])
    done = kopt("evaluate", problem, problem.parent / "k.cpp")
    text = " ".join(done.stdout.split())
    assert done.returncode == 1 and "wrong" in text
    assert "output[" in text and "expected" in text and "got" in text and "budget" in text
