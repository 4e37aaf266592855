"""What candidates try, and the verdict they get. Each attack is a whole candidate."""

from __future__ import annotations

import pytest

from kopt.verifiers import Effort, Evaluator, declared_faster
from kopt.words import Candidate, Language, Style, Verdict

INTO = Style.DESTINATION
NATIVE = """
#include <cmath>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void silu(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = x.size(0) * x.size(1);
  BODY
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, silu);
"""
HONEST_BODY = "for (int64_t i = 0; i < n; ++i) out[i] = in[i] / (1.0f + std::exp(-in[i]));"


def python(text: str, symbol: str = "run", style: Style = Style.RETURNING) -> Candidate:
    """A candidate in Python."""
    return Candidate(sources={"k.py": text}, language=Language.TORCH, entry=f"k.py::{symbol}", style=style)


def native(body: str = HONEST_BODY) -> Candidate:
    """A C++ candidate for the problem above."""
    return Candidate(
        sources={"k.cpp": NATIVE.replace("BODY", body)},
        language=Language.CPP,
        entry="k.cpp::run",
        style=Style.DESTINATION,
    )


@pytest.fixture(scope="module")
def lent() -> str:
    """What is attacked here is used by nobody else."""
    return "auto"


WRONG = {
    "early answer, a thread works on": python(
        """
import threading, time
def run(x, out):
    def later():
        time.sleep(0.002)
        out.copy_(x * x.sigmoid())
    threading.Thread(target=later).start()
""",
        style=INTO,
    ),
    "cached by data_ptr": python(
        """
seen = {}
def run(x):
    if x.data_ptr() not in seen:
        seen[x.data_ptr()] = x * x.sigmoid()
    return seen[x.data_ptr()]
"""
    ),
    "cached by shape": python(
        """
seen = {}
def run(x):
    if x.shape not in seen:
        seen[x.shape] = x * x.sigmoid()
    return seen[x.shape]
"""
    ),
    "known seed": python(
        """
import torch
torch.manual_seed(0)
answer = torch.randn(128, 512)
answer = answer * answer.sigmoid()
def run(x):
    return answer
"""
    ),
    "zeroes its input": python("def run(x):\n    y = x * x.sigmoid()\n    x.zero_()\n    return y\n"),
    "half of the rows": python("def run(x, out):\n    out[:64] = x[:64] * x[:64].sigmoid()\n", style=INTO),
    "all but one element": native(
        "for (int64_t i = 0; i + 1 < n; ++i) out[i] = in[i] / (1.0f + std::exp(-in[i]));"
    ),
    "zeros": python("def run(x):\n    return x * 0\n"),
    "not a number": python("def run(x):\n    return x * float('nan')\n"),
    "identity": python("def run(x):\n    return x.clone()\n"),
    "half precision": python("def run(x):\n    h = x.half()\n    return (h * h.sigmoid()).float()\n"),
    "bfloat16": python("def run(x):\n    h = x.bfloat16()\n    return (h * h.sigmoid()).float()\n"),
    "wrong dtype": python("def run(x):\n    return (x * x.sigmoid()).double()\n"),
    "broadcastable shape": python("def run(x):\n    return (x * x.sigmoid())[:1]\n"),
    "wrong strides": python("def run(x):\n    return (x * x.sigmoid()).t().contiguous().t()\n"),
    "no tensor": python("def run(x):\n    return 'PASSED'\n"),
    "gives back its input": python("def run(x):\n    x.mul_(x.sigmoid())\n    return x\n"),
    "patched copy": python(
        "import torch\ntorch.Tensor.copy_ = lambda self, other, *a: self\n"
        "def run(x):\n    return x * x.sigmoid()\n"
    ),
    "right only for what is declared": python(
        "def run(x):\n    return x * x.sigmoid() if x.abs().max() < 8 else x.relu()\n"
    ),
}
CRASHED = {
    "leaves at import": python(
        "import os\nprint('PASSED', flush=True)\nos._exit(0)\ndef run(x):\n    return x\n"
    ),
    "leaves when called": python("import os\ndef run(x):\n    print('PASSED')\n    os._exit(0)\n"),
    "raises": python("def run(x):\n    raise ValueError('no')\n"),
    "segmentation fault": native("*(volatile int*)nullptr = 1;"),
    "abort": native("std::abort();"),
    "memory bomb": python(
        "import torch\nkept = []\ndef run(x):\n    while True:\n        kept.append(torch.empty(1 << 28))\n"
    ),
}
AHEAD = """
import sys
def run(x, out):
    frame = sys._getframe(1)
    if "calls" not in frame.f_locals:  # traced, not timed
        out.copy_(x * x.sigmoid())
    elif out is frame.f_locals["calls"][0][2][0]:
        for _, arguments, outputs in frame.f_locals["self"].calls:
            outputs[0].copy_(arguments[0] * arguments[0].sigmoid())
"""
SLOW_TO_SAY_NOTHING = """
import sys, time
def run(x, out):
    program = sys._getframe(1).f_locals["self"]
    kind = type(program)
    if not hasattr(kind, "honest"):
        kind.honest = kind.round
        def late(self, start, count):
            time.sleep(0 if count else 0.05)
            return kind.honest(self, start, count)
        kind.round = late
    time.sleep(0.001)
    out.copy_(x * x.sigmoid())
"""
SPEAKS = """
import os, socket, stat
def run(x):
    for fd in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.write(fd, b"\\0" * 16)
        except OSError:
            pass
    return x * x.sigmoid()
"""


def judge(evaluator: Evaluator, candidate: Candidate) -> tuple[Verdict, str]:
    found = evaluator.evaluate(candidate, effort=Effort.QUICK)
    assert found.reason == "" or "\n" not in found.reason
    if not found.correct:
        assert found.gain is None
    return found.verdict, found.reason


@pytest.mark.parametrize("name", WRONG)
def test_wrong(silu: Evaluator, name: str) -> None:
    verdict, reason = judge(silu, WRONG[name])
    assert verdict is Verdict.WRONG, reason


@pytest.mark.parametrize("name", CRASHED)
def test_crashed(silu: Evaluator, name: str) -> None:
    verdict, reason = judge(silu, CRASHED[name])
    assert verdict is Verdict.CRASHED, reason


def test_signal_is_named(silu: Evaluator) -> None:
    assert "SIGSEGV" in judge(silu, CRASHED["segmentation fault"])[1]


def test_working_ahead_is_tampering(silu: Evaluator) -> None:
    verdict, reason = judge(silu, python(AHEAD, style=INTO))
    assert verdict is Verdict.TAMPERED, reason


def test_answering_empty_rounds_late_gains_nothing(silu: Evaluator) -> None:
    found = silu.evaluate(python(SLOW_TO_SAY_NOTHING, style=INTO), effort=Effort.QUICK)
    assert not found.correct or found.timing["candidate"].median >= 0.001


def test_talking_to_the_judge_is_tampering(silu: Evaluator) -> None:
    verdict, reason = judge(silu, python(SPEAKS))
    assert verdict is Verdict.TAMPERED, reason


def test_hang(silu: Evaluator) -> None:
    verdict, reason = judge(silu, native("volatile bool on = true; while (on) {}"))
    assert verdict is Verdict.TIMED_OUT
    assert "no answer within" in reason


def test_hang_at_import(silu: Evaluator) -> None:
    verdict, _ = judge(silu, python("while True: pass\ndef run(x):\n    return x\n"))
    assert verdict is Verdict.TIMED_OUT


def test_floods_of_text_change_nothing(silu: Evaluator) -> None:
    text = (
        "import os\nos.write(1, b'PASSED' * 1000)\nfor _ in range(1000):\n    os.write(1, b'x' * (1 << 20))\n"
    )
    verdict, reason = judge(silu, python(text + "def run(x):\n    return x * x.sigmoid()\n"))
    assert verdict in (Verdict.CORRECT, Verdict.TIMED_OUT), reason


def test_sleeping_in_warm_up_gains_nothing(silu: Evaluator) -> None:
    text = """
import time
calls = 0
def run(x):
    global calls
    calls += 1
    if calls < 12:
        time.sleep(0.01)
    return x * x.sigmoid()
"""
    found = silu.evaluate(python(text), effort=Effort.QUICK)
    assert found.verdict is Verdict.CORRECT
    assert not declared_faster(found.gain)


def test_does_not_compile(silu: Evaluator) -> None:
    verdict, reason = judge(silu, native("this is not C++;"))
    assert verdict is Verdict.BUILD_FAILED
    assert "k.cpp" in reason


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (python("def run(x:\n"), "k.py:1"),
        (python("def walk(x):\n    return x\n"), "no 'run'"),
        (python("def run(x):\n    return x\n" + "#" * (5 << 20)), "bytes"),
    ],
)
def test_unusable_text(silu: Evaluator, candidate: Candidate, words: str) -> None:
    verdict, reason = judge(silu, candidate)
    assert verdict is Verdict.REJECTED
    assert words in reason


def test_honest_ones_pass(silu: Evaluator) -> None:
    for candidate in (native(), python("def run(x):\n    return x * x.sigmoid()\n")):
        found = silu.evaluate(candidate, effort=Effort.QUICK)
        assert found.verdict is Verdict.CORRECT, found.reason
        assert found.gain is not None
        assert found.errors["error_over_budget"] < 0.7
        assert found.speedup["compile"] is None
