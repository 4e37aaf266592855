"""Sanitizers in the judge: right answers from wrong programs, crashes explained, and what is not checked is said."""

from __future__ import annotations

import pytest

from kopt.verifiers import Effort, Evaluator, sanitize
from kopt.words import Candidate, Evaluation, Language, Style, Verdict

pytestmark = [pytest.mark.needs("bubblewrap", "asan", "tsan"), pytest.mark.slow]

TEXT = """
#include <cmath>
#include <cstdlib>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

void silu(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = x.numel();
#pragma omp parallel for simd
  for (int64_t i = 0; i < n; ++i) out[i] = in[i] / (1.0f + std::exp(-in[i]));
  BODY
}

TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, silu);
"""
LINE = 1 + TEXT.split("BODY")[0].count("\n")


def native(body: str = "") -> Candidate:
    return Candidate(
        sources={"k.cpp": TEXT.replace("BODY", body)},
        language=Language.CPP,
        entry="k.cpp::run",
        style=Style.DESTINATION,
    )


def judged(evaluator: Evaluator, body: str = "", **options: bool) -> Evaluation:
    return evaluator.evaluate(native(body), effort=Effort.QUICK, **options)


def test_an_honest_parallel_kernel_is_clean(silu: Evaluator) -> None:
    found = judged(silu, sanitize=True)
    assert found.verdict is Verdict.CORRECT, found.reason
    detail = next(stage.detail for stage in found.stages if stage.name == "verify")
    assert [detail[name] for name in sanitize.NAMES.values()] == ["clean", "clean"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("volatile float next = in[n]; (void)next;", "out-of-bounds read"),
        ("int hits = 0;\n#pragma omp parallel\nhits += in[0] > 0;\nif (hits < 0) out[0] = 0;", "data race"),
    ],
)
def test_right_by_accident_is_wrong(silu: Evaluator, body: str, words: str) -> None:
    found = judged(silu, body, sanitize=True)
    assert found.verdict is Verdict.WRONG, found.reason
    assert found.reason.startswith(words) and "\n" not in found.reason
    verify = found.stages[-1]
    assert verify.name == "verify" and verify.detail["file"] == "k.cpp"
    assert LINE <= verify.detail["line"] <= LINE + 2


def test_memory_that_was_never_written(silu: Evaluator) -> None:
    body = "float* t = (float*)malloc(4 * n); out[1] += t[9] * 0.0f; free(t);"
    found = judged(silu, body, sanitize=True)
    assert found.verdict is Verdict.WRONG, found.reason
    assert "output[0, 1]" in found.reason


def test_a_crash_is_explained_when_asked(silu: Evaluator) -> None:
    body = "if (n > 5) *(volatile float*)(8 + n - n) = 1;"
    plain = judged(silu, body)
    assert plain.verdict is Verdict.CRASHED and "k.cpp" not in plain.reason
    found = judged(silu, body, explain=True)
    assert found.verdict is Verdict.CRASHED
    assert "SIGSEGV" in found.reason and f"k.cpp:{LINE}" in found.reason


def test_what_is_not_checked_is_said_and_passes(silu: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silu.sandbox.builder, "can_sanitize", lambda name: name == "thread")
    monkeypatch.setattr(sanitize, "MOST_BYTES", 1000)
    told, fault = sanitize.examine(silu, silu.timed[0], native(), b"GOMP_parallel")
    assert fault is None
    assert "not installed" in told[sanitize.NAMES["address"]] and "doctor" in told[sanitize.NAMES["address"]]
    assert "too large" in told[sanitize.NAMES["thread"]]


def test_only_what_starts_threads_is_parallel(silu: Evaluator) -> None:
    serial = native().sources["k.cpp"].replace("#pragma omp parallel for simd", "")
    for text, expected in ((serial, False), (native().sources["k.cpp"], True)):
        candidate = Candidate(
            sources={"k.cpp": text}, language=Language.CPP, entry="k.cpp::run", style=Style.DESTINATION
        )
        artifact = silu.sandbox.builder.build(candidate).artifact
        assert artifact is not None and sanitize.is_parallel(artifact) is expected
