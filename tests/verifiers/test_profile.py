"""One bottleneck a candidate: each rule shown by a small real kernel that has it, built, run and disassembled here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from kopt.verifiers import Effort, Evaluator, Failure
from kopt.verifiers.profile import activity, of_reference, stage
from kopt.words import (
    BottleneckName,
    Candidate,
    Evaluation,
    Language,
    Profile,
    StageName,
    Style,
    Verdict,
    from_json,
    to_json,
)
from kopt.words.source_file import candidate_of

pytestmark = [pytest.mark.needs("bubblewrap", "objdump"), pytest.mark.slow]

PROBLEM = """
import torch
import torch.nn as nn

class Model(nn.Module):
    def forward(self, FORWARD

def get_inputs():
    return [INPUTS]

def get_init_inputs():
    return []
"""
KERNEL = """
#include <cmath>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>

static const float* in(tvm::ffi::TensorView t) { return static_cast<const float*>(t.data_ptr()); }
static float* out(tvm::ffi::TensorView t) { return static_cast<float*>(t.data_ptr()); }

BODY
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, kernel);
"""
ONE = "void kernel(tvm::ffi::TensorView a, tvm::ffi::TensorView c) {\n  const float* x = in(a); float* y = out(c);\n"
TWO = (
    "void kernel(tvm::ffi::TensorView a, tvm::ffi::TensorView b, tvm::ffi::TensorView c) {\n"
    "  const float* x = in(a); float* y = out(c);\n"
)
SIGMOID = ONE + (
    "  const int64_t n = a.size(0) * a.size(1);\nPRAGMA\n"
    "  for (int64_t i = 0; i < n; ++i) y[i] = x[i] / (1.0f + std::exp(-x[i]));\n}"
)
MATMUL = TWO + (
    "  typedef float V __attribute__((vector_size(64), aligned(4)));\n"
    "  const float* w = in(b);\n  const int64_t m = a.size(0), k = a.size(1), n = 128;\n"
    "#pragma omp parallel for\n  for (int64_t i = 0; i < m; i += ROWS)\n"
    "   for (int64_t j = 0; j < n; j += 16 * COLUMNS) {\n"
    "    V s[ROWS][COLUMNS] = {};\n"
    "    for (int64_t p = 0; p < k; ++p)\n"
    "#pragma GCC unroll 16\n      for (int r = 0; r < ROWS; ++r)\n"
    "#pragma GCC unroll 16\n        for (int q = 0; q < COLUMNS; ++q)\n"
    "          s[r][q] += x[(i + r) * k + p] * *reinterpret_cast<const V*>(w + p * n + j + 16 * q);\n"
    "    for (int r = 0; r < ROWS; ++r)\n      for (int q = 0; q < COLUMNS; ++q)\n"
    "        *reinterpret_cast<V*>(y + (i + r) * n + j + 16 * q) = s[r][q];\n  }\n}"
)


@dataclass(frozen=True)
class Shown:
    """A problem, a kernel for it, what it must be told, and words of the evidence."""

    forward: str
    inputs: str
    body: str
    words: tuple[str, ...] = ()


X = "torch.randn(1024, 1024)"
SHOWN = {
    BottleneckName.LAUNCH_OVERHEAD: Shown(
        "x):\n        return torch.relu(x)",
        "torch.randn(4, 4)",
        ONE + "  const int64_t n = a.size(0) * a.size(1);\n"
        "  for (int64_t i = 0; i < n; ++i) y[i] = x[i] > 0 ? x[i] : 0;\n}",
        ("when the kernel does nothing",),
    ),
    BottleneckName.MEMORY_BANDWIDTH: Shown(
        "x):\n        return x.sum(-1)",
        "torch.randn(2048, 4096)",
        ONE + "  const int64_t m = a.size(1);\n#pragma omp parallel for\n"
        "  for (int64_t i = 0; i < a.size(0); ++i) {\n    float s[64] = {};\n"
        "    for (int64_t j = 0; j < m; j += 64) for (int l = 0; l < 64; ++l) s[l] += x[i * m + j + l];\n"
        "    float t = 0; for (int l = 0; l < 64; ++l) t += s[l];\n    y[i] = t;\n  }\n}",
        ("GB/s",),
    ),
    BottleneckName.ARITHMETIC: Shown(
        "x, w):\n        return x @ w",
        "torch.randn(6144, 64), torch.randn(64, 128)",
        MATMUL.replace("ROWS", "6").replace("COLUMNS", "4"),
        ("Gflop/s",),
    ),
    BottleneckName.PARALLELISM: Shown(
        "x):\n        return x * torch.sigmoid(x)", X, SIGMOID.replace("PRAGMA", ""), ("1 threads, where",)
    ),
    BottleneckName.CALL_IN_LOOP: Shown(
        "x):\n        return x * torch.sigmoid(x)",
        X,
        SIGMOID.replace("PRAGMA", "#pragma omp parallel for"),
        ("calls expf",),
    ),
    BottleneckName.GATHER: Shown(
        "x, i):\n        return x[i]",
        "torch.randn(1 << 21), torch.randint(0, 1 << 21, (1 << 17,))",
        TWO + "  const int64_t* at = static_cast<const int64_t*>(b.data_ptr());\n#pragma omp parallel for\n"
        "  for (int64_t i = 0; i < b.size(0); ++i) y[i] = x[at[i]];\n}",
        ("gathers", "loaded first"),
    ),
    BottleneckName.CACHE_MISSES_BY_STRIDE: Shown(
        "x):\n        return x.t().contiguous()",
        "torch.randn(2048, 2048)",
        ONE + "  const int64_t n = a.size(0), m = a.size(1);\n#pragma omp parallel for\n"
        "  for (int64_t i = 0; i < m; ++i) for (int64_t j = 0; j < n; ++j) y[i * n + j] = x[j * m + i];\n}",
        ("cache line",),
    ),
    BottleneckName.REGISTER_SPILLS: Shown(
        "x, w):\n        return x @ w",
        "torch.randn(6144, 64), torch.randn(64, 128)",
        MATMUL.replace("ROWS", "12").replace("COLUMNS", "8"),
        ("stack",),
    ),
    BottleneckName.NOT_VECTORISED: Shown(
        "x):\n        return x.sum(-1)",
        "torch.randn(2048, 4096)",
        ONE + "  const int64_t m = a.size(1);\n#pragma omp parallel for\n"
        "  for (int64_t i = 0; i < a.size(0); ++i) {\n    double s = 0;\n"
        "    for (int64_t j = 0; j < m; ++j) s += x[i * m + j];\n"
        "    y[i] = static_cast<float>(s);\n  }\n}",
        ("are packed",),
    ),
    BottleneckName.DIVISION: Shown(
        "x):\n        for _ in range(12):\n            x = x / (1.0 + x * x)\n        return x",
        "torch.randn(512, 512)",
        ONE + "  const int64_t n = a.size(0) * a.size(1);\n#pragma omp parallel for simd\n"
        "  for (int64_t i = 0; i < n; ++i) {\n    float v = x[i];\n"
        + "    v = v / (1.0f + v * v);\n" * 12
        + "    y[i] = v;\n  }\n}",
        ("12 divisions",),
    ),
}  # fmt: skip


def native(body: str) -> Candidate:
    return candidate_of("k.cpp", KERNEL.replace("BODY", body))


Opener = Callable[[str], Evaluator]


@pytest.fixture(scope="module")
def opened(open_evaluator: Opener) -> Iterator[Callable[[Shown], Evaluator]]:
    known: dict[str, Evaluator] = {}

    def open_one(shown: Shown) -> Evaluator:
        text = PROBLEM.replace("FORWARD", shown.forward).replace("INPUTS", shown.inputs)
        if text not in known:
            known[text] = open_evaluator(text)
        return known[text]

    yield open_one


def profiled(evaluator: Evaluator, body: str, effort: Effort = Effort.VERIFY) -> Evaluation:
    found = evaluator.evaluate(native(body), effort=effort, profile=True)
    assert found.verdict is Verdict.CORRECT, found.reason
    return found


def told(found: Evaluation) -> Profile:
    assert found.profile is not None
    return found.profile


TIMED = (BottleneckName.LAUNCH_OVERHEAD, BottleneckName.MEMORY_BANDWIDTH, BottleneckName.ARITHMETIC)
"""Named for what was measured, which a busy machine disturbs: looked at up to three times."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.timing] * (name in TIMED)) for name in SHOWN], ids=str
)
def test_each_rule_on_a_kernel_that_shows_it(
    opened: Callable[[Shown], Evaluator], name: BottleneckName
) -> None:
    shown = SHOWN[name]
    evaluator = opened(shown)
    if name is not BottleneckName.PARALLELISM and evaluator.sandbox.threads < 2:
        pytest.skip("one thread cannot be idle")
    profile = told(profiled(evaluator, shown.body))
    for _ in range(2 if name in TIMED else 0):
        if profile.bottleneck.name is not name:
            evaluator.profiled.empty.clear()
            profile = told(profiled(evaluator, shown.body))
    assert profile.bottleneck.name is name, profile.bottleneck
    assert 1 <= len(profile.bottleneck.evidence) <= 3
    text = " ".join(profile.bottleneck.evidence)
    assert any(word in text for word in shown.words) or not shown.words, text
    assert profile.operators and sum(one.share for one in profile.operators) == pytest.approx(1, abs=0.01)


def test_a_measured_candidate_is_profiled_last(opened: Callable[[Shown], Evaluator]) -> None:
    evaluator = opened(SHOWN[BottleneckName.CALL_IN_LOOP])
    body = SHOWN[BottleneckName.CALL_IN_LOOP].body
    found = evaluator.evaluate(native(body), effort=Effort.QUICK, profile=True)
    assert found.verdict is Verdict.CORRECT, found.reason
    profile = told(found)
    assert [stage.name for stage in found.stages][-2:] == [StageName.MEASURE, StageName.PROFILE]
    assert found.stages[-1].detail["bottleneck"] == profile.bottleneck.name
    assert profile.seconds == found.timing["candidate"].median
    loop = profile.loops[0]
    assert loop.file == "k.cpp" and loop.calls == ("expf",) and not loop.vector_bytes
    first = native(body).sources["k.cpp"][: native(body).sources["k.cpp"].index("for (int64_t i")]
    line = first.count("\n") + 1
    assert loop.lines[0] <= line <= loop.lines[1] and loop.remarks
    assert any("call" in text and "expf" in text for text in loop.assembly) and len(loop.assembly) <= 40
    assert from_json(Evaluation, to_json(found)).profile == profile
    plain = evaluator.evaluate(native(body), effort=Effort.VERIFY)
    assert plain.profile is None and StageName.PROFILE not in [stage.name for stage in plain.stages]


def test_a_candidate_that_fails_while_profiled_is_still_correct(
    opened: Callable[[Shown], Evaluator], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator = opened(SHOWN[BottleneckName.LAUNCH_OVERHEAD])

    def fails(*_: object) -> activity.Activity:
        raise Failure(Verdict.CRASHED, "it broke here and nowhere else")

    monkeypatch.setattr(activity, "of_candidate", fails)
    profile = told(profiled(evaluator, SHOWN[BottleneckName.LAUNCH_OVERHEAD].body))
    assert profile.seconds is None and any("nowhere else" in note for note in profile.notes)


def test_what_is_wrong_is_not_profiled(opened: Callable[[Shown], Evaluator]) -> None:
    evaluator = opened(SHOWN[BottleneckName.LAUNCH_OVERHEAD])
    wrong = SHOWN[BottleneckName.LAUNCH_OVERHEAD].body.replace("? x[i] : 0", "? x[i] : 1")
    found = evaluator.evaluate(native(wrong), effort=Effort.VERIFY, profile=True)
    assert found.verdict is Verdict.WRONG and found.profile is None


def test_a_vectorised_loop_is_read_as_one(opened: Callable[[Shown], Evaluator]) -> None:
    evaluator = opened(SHOWN[BottleneckName.DIVISION])
    loop = told(profiled(evaluator, SHOWN[BottleneckName.DIVISION].body)).loops[0]
    assert loop.vector_bytes >= 16 and loop.packed > 12 and not loop.scalar and loop.divisions >= 12
    assert any(": done: " in remark and "vectorized" in remark for remark in loop.remarks)


def test_references_are_profiled_too(opened: Callable[[Shown], Evaluator]) -> None:
    small = of_reference(opened(SHOWN[BottleneckName.LAUNCH_OVERHEAD]))
    assert small.bottleneck.name is BottleneckName.LAUNCH_OVERHEAD, small.bottleneck
    large = of_reference(opened(SHOWN[BottleneckName.CALL_IN_LOOP]))
    assert {one.name for one in large.operators} == {"aten::sigmoid", "aten::mul"}
    assert large.seconds and large.roofline is not None
    many = of_reference(opened(SHOWN[BottleneckName.DIVISION]))
    assert many.bottleneck.name in (BottleneckName.MEMORY_TRAFFIC, BottleneckName.PARALLELISM), (
        many.bottleneck
    )


def test_a_torch_candidate_that_moves_too_much(opened: Callable[[Shown], Evaluator]) -> None:
    text = "def run(x):\n" + "    x = x / (1.0 + x * x)\n" * 12 + "    return x\n"
    candidate = Candidate(
        sources={"k.py": text}, language=Language.TORCH, entry="k.py::run", style=Style.RETURNING
    )
    found = opened(SHOWN[BottleneckName.DIVISION]).evaluate(candidate, effort=Effort.VERIFY, profile=True)
    bottleneck = told(found).bottleneck
    assert bottleneck.name in (BottleneckName.MEMORY_TRAFFIC, BottleneckName.PARALLELISM), bottleneck
    assert not told(found).loops


CUDA = """
extern "C" __global__ void BOUNDS k(const float* x, float* y, int n) {
  float v[COUNT];
  int t = blockIdx.x * blockDim.x + threadIdx.x;
#pragma unroll
  for (int i = 0; i < COUNT; ++i) v[i] = x[i * n + t];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < COUNT; ++i) y[i * n + t] = v[i] * v[COUNT - 1 - i];
}
"""


@pytest.mark.needs("nvcc")
@pytest.mark.parametrize(
    ("bounds", "count", "name"),
    [
        ("__launch_bounds__(1024)", 128, BottleneckName.REGISTER_SPILLS),
        ("__launch_bounds__(64)", 180, BottleneckName.OCCUPANCY),
        ("", 4, BottleneckName.NARROW_ACCESS),
    ],
)
def test_gpu_kernels_by_what_their_build_records(
    opened: Callable[[Shown], Evaluator], bounds: str, count: int, name: BottleneckName
) -> None:
    candidate = Candidate(
        sources={"k.cu": CUDA.replace("COUNT", str(count)).replace("BOUNDS", bounds)},
        language=Language.CUDA,
        entry="k.cu::k",
        style=Style.DESTINATION,
    )
    evaluator = opened(SHOWN[BottleneckName.LAUNCH_OVERHEAD])
    found = evaluator.evaluate(candidate, effort=Effort.VERIFY, profile=True)
    assert found.verdict is Verdict.REJECTED and "compiled" in found.reason, found.reason
    profile = told(found)
    assert profile.bottleneck.name is name, (profile.bottleneck, profile.kernels)
    assert profile.kernels[0].registers and profile.kernels[0].occupancy


TRITON = """
import torch
import triton
import triton.language as tl


@triton.jit
def kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, tl.maximum(tl.load(x + at, mask=at < n), 0.0), mask=at < n)


def run(x):
    y = torch.empty_like(x)
    kernel[(triton.cdiv(x.numel(), 1024),)](x, y, x.numel(), BLOCK=1024, num_warps=2)
    return y
"""


@pytest.mark.needs("triton")
def test_triton_kernels_say_their_block_size(opened: Callable[[Shown], Evaluator]) -> None:
    candidate = Candidate(
        sources={"k.py": TRITON}, language=Language.TRITON, entry="k.py::run", style=Style.RETURNING
    )
    evaluator = opened(SHOWN[BottleneckName.LAUNCH_OVERHEAD])
    found = evaluator.evaluate(candidate, effort=Effort.VERIFY, profile=True)
    assert found.verdict is Verdict.CORRECT, found.reason
    (kernel,) = told(found).kernels
    assert kernel.threads == 64 and kernel.registers and kernel.occupancy
    assert told(found).seconds is None and told(found).bottleneck.name is BottleneckName.NONE_FOUND


def test_only_what_is_right_or_built_is_wanted() -> None:
    cpp, cuda = native(""), Candidate(
        sources={"k.cu": ""}, language=Language.CUDA, entry="k.cu::k", style=Style.DESTINATION
    )  # fmt: skip
    assert stage.wanted(cpp, Verdict.CORRECT, False) and stage.wanted(cuda, Verdict.REJECTED, True)
    assert not stage.wanted(cpp, Verdict.REJECTED, True) and not stage.wanted(cuda, Verdict.REJECTED, False)
    assert not stage.wanted(cpp, Verdict.TAMPERED, True)
