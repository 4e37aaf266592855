"""What makes the oracle strong: mixtures of distributions, repeats, fences behind tensors, planted bugs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from kopt.problems import load
from kopt.problems.hidden import transform
from kopt.sandbox import Sandbox
from kopt.settings import Settings
from kopt.verifiers import Effort, Evaluator
from kopt.verifiers.budget import ErrorModel
from kopt.verifiers.compare import CHUNK, Expected, part_ends
from kopt.verifiers.layout import Layout
from kopt.verifiers.ring import Ring
from kopt.words import Candidate, Language, Style, TensorSpec, TolerancePolicy, Verdict
from kopt.words.source_file import candidate_of

ROOT = Path(__file__).resolve().parents[2]
EXPONENTIAL = """
import torch
import torch.nn as nn
class Model(nn.Module):
    def forward(self, x):
        return torch.exp(x)
def get_inputs():
    return [torch.randn(61, 77)]
def get_init_inputs():
    return []
"""
BEHIND = """
import ctypes
def run_into(x, y):
    y.copy_(x.exp())
    ctypes.memset(y.data_ptr() + 4 * y.numel(), 0, 4)
"""


def python(text: str) -> Candidate:
    return Candidate(
        sources={"k.py": text}, language=Language.TORCH, entry="k.py::run_into", style=Style.DESTINATION
    )


@pytest.fixture(scope="module")
def exponential(open_evaluator: Callable[[str], Evaluator]) -> Evaluator:
    return open_evaluator(EXPONENTIAL)


@pytest.mark.needs("bubblewrap")
def test_every_judge_shows_a_mixture_without_what_the_reference_cannot_take(exponential: Evaluator) -> None:
    cases = exponential.timed[0].cases
    names = [case.distribution for case in cases.cases]
    assert names[:2] == ["declared", "declared"] and names[-1] == "mixed"
    assert "large" not in names and len(set(cases.dropped) & {"large", "wide"}) == 2
    (stored,) = cases.cases[-1].inputs
    values = stored.view(np.float32)
    assert float(np.abs(values).max()) < 100 and float(np.median(np.abs(values))) < 50


@pytest.mark.needs("bubblewrap")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def run_into(x, y):\n    y.copy_(x.exp())\n", ""),
        (BEHIND, "behind the end of"),
        ("def run_into(x, y):\n    y.copy_(x.exp().where(x.abs() > 1e-4, 1.1))\n", "expected"),
        ("def run_into(x, y):\n    y.copy_(x.exp().clamp_max(3e38))\n", "expected inf"),
        ("calls = 0\ndef run_into(x, y):\n    global calls\n    calls += 1\n    y.copy_(x.exp() if calls < 9 else x)\n",
         "expected"),
    ],
    ids=["right", "writes behind the end", "wrong where small", "finite for infinite", "wrong from the ninth call on"],
)  # fmt: skip
def test_verification_alone_decides(exponential: Evaluator, text: str, words: str) -> None:
    found = exponential.evaluate(python(text), effort=Effort.VERIFY)
    assert found.verdict is (Verdict.WRONG if words else Verdict.CORRECT), found.reason
    assert words in found.reason
    assert [stage.name.value for stage in found.stages][-1] in ("smoke", "verify")
    assert not found.timing and found.gain is None


SIGNS = """
import torch
import torch.nn as nn
class Model(nn.Module):
    def forward(self, x):
        return x.sign() * (1 + x.abs())
def get_inputs():
    return [torch.randn(61, 77, dtype=torch.DTYPE)]
def get_init_inputs():
    return []
"""
FLUSHES = """
import torch
def run_into(x, y):
    x = torch.where(x.abs() < torch.finfo(x.dtype).smallest_normal, 0, x)
    y.copy_(x.sign() * (1 + x.abs()))
"""


@pytest.mark.needs("bubblewrap")
def test_a_kernel_that_takes_denormals_for_zeros_is_wrong_where_it_matters(
    open_evaluator: Callable[[str], Evaluator],
) -> None:
    for dtype in ("float64", "float32"):
        signs = open_evaluator(SIGNS.replace("DTYPE", dtype))
        right = signs.evaluate(python(FLUSHES.replace(".abs() < t", ".abs() < 0 * t")), effort=Effort.VERIFY)
        assert right.verdict is Verdict.CORRECT, right.reason
        found = signs.evaluate(python(FLUSHES), effort=Effort.VERIFY)
        assert found.verdict is Verdict.WRONG and "expected" in found.reason
        assert found.worst is not None and found.worst.got == 0


GAPS = """
import torch
import torch.nn as nn
class Model(nn.Module):
    def forward(self, x, p, b):
        return x.tanh() + p * b
def get_inputs():
    return [torch.randn(61, 154)[:, ::2], torch.randn(77, 64).t()[:61], torch.randn(77).expand(61, 77)]
def get_init_inputs():
    return []
"""
AS_GIVEN = """
import torch
def run_into(x, p, b, y):
    assert (x.stride(), p.stride(), b.stride()) == ((154, 2), (1, 64), (0, 1))
    gaps = x.as_strided((61, 76), (154, 2), x.storage_offset() + 1)
    y.copy_(x.tanh() + p * b)
"""
NATIVE = """
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
#include <cmath>
using View = tvm::ffi::TensorView;
static float at(View t, int64_t i, int64_t j) {
  return static_cast<const float*>(t.data_ptr())[i * t.stride(0) + j * t.stride(1)];
}
void add(View x, View p, View b, View y) {
  float* out = static_cast<float*>(y.data_ptr());
  for (int64_t i = 0; i < y.size(0); ++i)
    for (int64_t j = 0; j < y.size(1); ++j) *out++ = std::tanh(at(x, i, j)) + at(p, i, j) * at(b, i, j);
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, add);
"""


@pytest.fixture(scope="module")
def gaps(open_evaluator: Callable[[str], Evaluator]) -> Evaluator:
    return open_evaluator(GAPS)


@pytest.mark.needs("bubblewrap")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (AS_GIVEN, ""),
        (AS_GIVEN.replace("x.tanh()", "x.as_strided((61, 77), (77, 1)).tanh()"), "expected"),
        (AS_GIVEN + "    gaps.zero_()\n", "it changed its inputs"),
        (AS_GIVEN + "    p.as_strided((76,), (64,), p.storage_offset() + 63).zero_()\n", "it changed its inputs"),
        (AS_GIVEN + "    y[:, 1:] += gaps.nan_to_num(1, 1, 1)\n", "expected"),
    ],
    ids=["right", "strides ignored", "writes into gaps", "writes into padding", "gaps taken for zeros"],
)  # fmt: skip
def test_inputs_have_the_layout_that_the_problem_gives_them(gaps: Evaluator, text: str, words: str) -> None:
    assert all("mixed" in {c.distribution for c in b.cases.cases} for b in gaps.timed)
    found = gaps.evaluate(python(text), effort=Effort.VERIFY)
    assert found.verdict is (Verdict.WRONG if words else Verdict.CORRECT), found.reason
    assert words in found.reason


@pytest.mark.needs("bubblewrap")
def test_native_kernels_get_strided_inputs(gaps: Evaluator) -> None:
    candidate = candidate_of("k.cpp", NATIVE)
    found = gaps.evaluate(candidate, effort=Effort.VERIFY)
    assert found.verdict is Verdict.CORRECT, found.reason


SOFTMAX = """
import torch
import torch.nn as nn
class Model(nn.Module):
    def forward(self, x):
        return torch.softmax(x, -1)
def get_inputs():
    return [torch.randn(2000, 7)]
def get_init_inputs():
    return []
"""
ONLINE = """
import torch
def run_into(x, y):
    m, total = torch.full((2000,), LEAST), torch.zeros(2000)
    for column in x.unbind(1):
        higher = torch.maximum(m, column)
        total = total * (m - higher).exp() + (column - higher).exp()
        m = higher
    y.copy_((x - m[:, None]).exp() / total[:, None])
"""


@pytest.mark.needs("bubblewrap")
def test_infinities_must_become_what_the_reference_makes_of_them(
    exponential: Evaluator, open_evaluator: Callable[[str], Evaluator]
) -> None:
    assert "infinite" in {case.distribution for case in exponential.timed[0].cases.cases}
    softmax = open_evaluator(SOFTMAX)
    cases = softmax.timed[0].cases
    assert "NaN" in cases.dropped["infinite"]
    assert "infinite_below" in {case.distribution for case in cases.cases}
    right = softmax.evaluate(python(ONLINE.replace("LEAST", "-3e38")), effort=Effort.VERIFY)
    assert right.verdict is Verdict.CORRECT, right.reason
    found = softmax.evaluate(python(ONLINE.replace("LEAST", "-torch.inf")), effort=Effort.VERIFY)
    assert found.verdict is Verdict.WRONG and "infinite_below" in found.reason
    scan = open_evaluator(SOFTMAX.replace("softmax(x, -1)", "cumsum(x, 0)"))
    assert "adds infinities up" in scan.timed[0].cases.dropped["infinite_below"]


RECTIFIER = """
import torch
axes = {"rows": 30, "columns": 41}
inputs = {"x": {"shape": ["rows", "columns"]}}
state = {"weight": {"shape": ["columns"]}}
outputs = ["y"]
gradients = ["x", "weight"]
non_finite = True
def reference(x, weight):
    return torch.relu(x) * weight
"""
BY_HAND = """
import torch
def run(x, grad_y, weight):
    r = torch.relu(x)
    return r * weight, torch.where(r <= 0, 0, weight * grad_y), (r * grad_y).sum(0)
"""
BY_AUTOGRAD = """
import torch
def run(x, grad_y, weight):
    with torch.enable_grad():
        x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
        y = torch.relu(x) * weight
    return y.detach(), *torch.autograd.grad(y, (x, weight), grad_y)
"""


@pytest.fixture(scope="module")
def rectifier(
    settings: Settings, lent: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Evaluator]:
    path = tmp_path_factory.mktemp("problem") / "rectifier.py"
    path.write_text(RECTIFIER)
    with Evaluator(load(path), sandbox=lent, settings=settings) as evaluator:
        yield evaluator


@pytest.mark.needs("bubblewrap")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BY_HAND, ""),
        (BY_HAND.replace("torch.where(r <= 0, 0, weight * grad_y)", "weight * grad_y"), "grad_x"),
        (BY_HAND.replace("(r * grad_y)", "(x * grad_y)"), "grad_weight"),
        (BY_HAND.replace("torch.relu(x)", "torch.where(x > 0, x, 0)"), "expected nan"),
        (BY_HAND.replace("torch.relu(x)", "torch.relu(x).clamp_max(3e38)"), "expected "),
        (BY_AUTOGRAD, ""),
    ],
    ids=["right", "gradient unmasked", "gradient of the sum", "NaN dropped", "infinity dropped", "autograd"],
)
def test_gradients_and_what_is_not_finite_are_checked_where_declared(
    rectifier: Evaluator, text: str, words: str
) -> None:
    assert "non_finite" in {case.distribution for case in rectifier.timed[0].cases.cases}
    candidate = Candidate(
        sources={"k.py": text}, language=Language.TORCH, entry="k.py::run", style=Style.RETURNING
    )
    found = rectifier.evaluate(candidate, effort=Effort.VERIFY)
    assert found.verdict is (Verdict.WRONG if words else Verdict.CORRECT), found.reason
    assert words in found.reason


@pytest.mark.parametrize("count", [5, 1024])
def test_a_fence_tells_what_was_written_behind_an_end(count: int) -> None:
    """Behind one that fills whole pages, too."""
    specs = [TensorSpec(name=n, shape=(count,), dtype="float32", strides=(1,)) for n in ("x", "y")]
    ring = Ring(Layout.of([("input", specs[:1]), ("output", specs[1:])], 2))
    second = ring.layout.places[1].offset
    assert second % 4096 == 0
    try:
        noise = ring.fence(1)
        ring.outputs_of(1)[0][:] = 3
        assert ring.breached(1, noise) is None
        ring.slot(1)[second + 4 * count] ^= 1
        assert ring.breached(1, noise) == "y"
        again = ring.fence(1)
        assert ring.breached(1, again) is None and not np.array_equal(noise, again)
        ring.slot(1)[second - 1] ^= 1
        assert ring.breached(1, again) == "x"
    finally:
        ring.close()


def test_errors_of_one_part_excuse_none_of_another() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=4 * CHUNK)
    reference = truth.astype(np.float32)
    reference[: 2 * CHUNK] += np.float32(1e-3) * generator.normal(size=2 * CHUNK).astype(np.float32)
    length = 2 * CHUNK
    models = []
    for start in (0, length):
        model = ErrorModel("float32", TolerancePolicy())
        model.add(truth[start : start + length], reference[start : start + length])
        models.append((start + length, model))
    whole = ErrorModel("float32", TolerancePolicy())
    whole.add(truth, reference)
    wrong = truth.astype(np.float32)
    wrong[-5] += np.float32(1e-4)
    assert Expected.of(whole, "float32", truth, reference).check(wrong).passed
    found = Expected.of(models, "float32", truth, reference).check(wrong)
    assert not found.passed and found.position == truth.size - 5
    assert Expected.of(models, "float32", truth, reference).check(reference).passed


@pytest.mark.parametrize("shape", [(23, 4, 7), (11, 5), (10,), (3, 100), (64,)])
def test_parts_of_an_output_end_where_those_of_a_mixture_do(shape: tuple[int, ...]) -> None:
    """Otherwise few elements of one distribution were judged by the errors of another's many."""
    parts = 10
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))

    def small_in(number: int) -> torch.Tensor:
        names = ["small" if n == number else "shifted" for n in range(parts)]
        changed: torch.Tensor = transform([x], "+".join(names), 5)[0]
        return (changed.abs() < 1e-3).flatten()

    small = [small_in(n) for n in range(parts)]
    ends = part_ends(shape, parts)
    assert ends[-1] == x.numel() and len(ends) == parts
    for number, (start, stop) in enumerate(zip([0, *ends], ends, strict=False)):
        assert small[number].nonzero().flatten().tolist() == list(range(start, stop))


def test_a_block_may_belong_to_two_parts() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=2 * CHUNK)
    reference = truth.astype(np.float32)
    middle = CHUNK + 1000
    reference[:middle] += np.float32(1e-3) * generator.normal(size=middle).astype(np.float32)
    models = []
    for start, stop in ((0, middle), (middle, truth.size)):
        model = ErrorModel("float32", TolerancePolicy())
        model.add(truth[start:stop], reference[start:stop])
        models.append((stop, model))
    expected = Expected.of(models, "float32", truth, reference)
    assert expected.check(reference).passed
    for at, right in ((middle - 1, True), (middle, False)):
        wrong = reference.copy()
        wrong[at] += np.float32(1e-4)
        assert expected.check(wrong).passed is right


@pytest.mark.needs("bubblewrap", "triton")
def test_planted_bugs_are_caught() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.mutants", "max_pool"], cwd=ROOT, capture_output=True, text=True
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) >= 10, done.stderr
    assert [row for row in rows if not row["right"]] == []
    assert done.returncode == 0
