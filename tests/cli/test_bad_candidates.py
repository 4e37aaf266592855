"""Candidates that misbehave: the right verdict, a reason in one line, status 1, nothing left running."""

from __future__ import annotations

import json
import time

import pytest
from cli_harness import CPP, kopt

pytestmark = [pytest.mark.needs("bubblewrap"), pytest.mark.slow]

LOOP = "for (int64_t i = 0; i < n; ++i)"
# The file, its text, the verdicts it may get, and a word of the next step that the reason names.
BAD = {
    "does not compile": (
        "k.cpp",
        CPP.replace("const int64_t n", "const int64_t m"),
        {"build_failed"},
        "mend the source",
    ),
    "hangs": (
        "k.cpp",
        CPP.replace(LOOP, "volatile int forever = 1; while (forever) {}\n" + LOOP),
        {"timed_out"},
        "look for an endless loop",
    ),
    "crashes": (
        "k.cpp",
        CPP.replace(LOOP, "*(volatile int*)8 = 1;\n" + LOOP),
        {"crashed"},
        "look at the pointer",
    ),
    "allocates without end": (
        "k.py",
        "import torch\ndef run(x):\n    kept = []\n    while True: kept.append(torch.ones(1 << 26))\n",
        {"crashed", "timed_out"},
        "): ",
    ),
    "prints a gigabyte": (
        "k.py",
        "import os, torch\ndef run(x):\n    b = b'x' * (1 << 20)\n    for _ in range(1024): os.write(1, b)\n"
        "    return torch.zeros_like(x)\n",
        {"wrong", "timed_out"},
        "look ",
    ),
    "wrong shape": ("k.py", "def run(x): return x[:3]\n", {"wrong"}, "return what the reference returns"),
    "not a tensor": ("k.py", "def run(x): return 'text'\n", {"wrong"}, "return what the reference returns"),
    "raises": ("k.py", "def run(x): raise RuntimeError('my reason')\n", {"crashed"}, "mend the source"),
    "wrong values": ("k.cpp", CPP.replace("+ 1.0f", "+ 1.001f"), {"wrong"}, "look at this one first"),
    "returns at once": ("k.py", "import os\ndef run(x): os._exit(0)\n", {"crashed"}, "a kernel must return"),
}
MODES = """
#include <cstdlib>
#include <unistd.h>
#define MODE 0  // tune: 0, 1, 2, 3, 4, 5
static void misbehave(float* out, int64_t n) {
  if (MODE == 1) for (volatile int forever = 1; forever;) {}
  if (MODE == 2) *(volatile int*)8 = 1;
  if (MODE == 3) for (;;) *static_cast<volatile char*>(malloc(1 << 26)) = 1;
  if (MODE == 4) for (int i = 0; i < 1024; ++i) { static char b[1 << 20]; if (write(1, b, sizeof b) < 0) break; }
  if (MODE == 5) out[n / 2] += 1.0f;
}
"""


@pytest.mark.parametrize("kind", BAD)
def test_verdict_reason_and_status(kind, problem):
    name, text, verdicts, step = BAD[kind]
    (problem.parent / name).write_text(text)
    began = time.monotonic()
    done = kopt("evaluate", problem, problem.parent / name, "--json", env={"KOPT_CALL_SECONDS": "5"})
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"] in verdicts and step in document["reason"], document["reason"]
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


def test_a_run_goes_on_past_all_of_them(problem, home):
    """One kernel whose tunable chooses how it misbehaves: every choice is judged, and the right one wins."""
    kernel = problem.parent / "k.cpp"
    last = CPP.replace("* 2.0f + 1.0f;", "* 2.0f + 1.0f;\n  misbehave(out, n);")
    kernel.write_text(MODES + last)
    limits = {"KOPT_CALL_SECONDS": "3", "KOPT_MEMORY_BYTES": str(1 << 30)}
    done = kopt("optimize", problem, "--candidate", kernel, "--json", env={**home, **limits})
    document = json.loads(done.stdout)
    assert document["best"]["verdict"] == "correct", done.stderr
    shown = json.loads(kopt("runs", "show", document["run"], "--json", env=home).stdout)
    found = [m["evaluation"]["verdict"] for m in shown["evaluations"] if m["effort"] == "quick"]
    assert len(found) == 6 and found.count("timed_out") in (
        1,
        2,
    )  # whoever prints a gigabyte may be right, or too slow
    assert found.count("crashed") == 2 and found.count("wrong") == 1
