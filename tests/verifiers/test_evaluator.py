"""The evaluator as its users see it: stages, records, workloads, languages without a device, races."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from kopt.problems import load
from kopt.sandbox import Sandbox
from kopt.settings import Settings
from kopt.verifiers import Effort, Evaluator, declared_faster, interpret
from kopt.verifiers.clock import Stretch
from kopt.verifiers.glance import Glance
from kopt.verifiers.roofline import Peaks, allowed_seconds, roofline
from kopt.verifiers.statistics import LEAST
from kopt.words import (
    Candidate,
    Language,
    Policy,
    Style,
    TensorSpec,
    Verdict,
    Workload,
    WorkloadSpec,
    to_json,
)

SCALED = '''"""y = x * w, for several sizes."""
import torch

axes = {"rows": None, "columns": 256}
inputs = {"x": {"shape": ["rows", "columns"], "dtype": "float32", "values": "normal"}, "factor": 2.0}
outputs = ["y"]
workloads = {"small": {"rows": 32}, "large": {"rows": 100}}
held_out = {"odd": {"rows": 7}}
smoke = {"rows": 3}


def reference(x: torch.Tensor, factor: float) -> torch.Tensor:
    return torch.tanh(x) * factor
'''
TRITON = """
import torch
import triton
import triton.language as tl


@triton.jit
def kernel(x, y, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    v = tl.load(x + i, mask=i < n)
    tl.store(y + i, FORMULA, mask=i < n)


def run(x, factor):
    y = torch.empty_like(x)
    kernel[(triton.cdiv(x.numel(), 1024),)](x, y, x.numel(), BLOCK=1024)
    return y
"""
CUDA = """
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
__global__ void twice(const float* x, float* y) { y[threadIdx.x] = 2 * x[threadIdx.x]; }
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  twice<<<1, 32>>>((const float*)x.data_ptr(), (float*)y.data_ptr());
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
"""


def python(text: str, language: Language = Language.TORCH) -> Candidate:
    return Candidate(sources={"k.py": text}, language=language, entry="k.py::run", style=Style.RETURNING)


@pytest.fixture(scope="module")
def seen() -> list[tuple[str, dict]]:
    return []


@pytest.fixture(scope="module")
def scaled(
    settings: Settings, lent: Sandbox, tmp_path_factory: pytest.TempPathFactory, seen: list, uncompiled
):  # type: ignore[no-untyped-def,type-arg]
    path = tmp_path_factory.mktemp("problem") / "scaled.py"
    path.write_text(SCALED)
    told = lambda event, facts: seen.append((event, facts))  # noqa: E731
    with uncompiled(Evaluator(load(path), sandbox=lent, settings=settings, observer=told)) as evaluator:
        yield evaluator


def test_every_workload_is_verified_and_the_declared_ones_are_timed(
    scaled: Evaluator, seen: list[tuple[str, dict]]
) -> None:
    assert [s.workload.name for s in scaled.specs] == ["small", "large"]
    found = scaled.evaluate(
        python("def run(x, factor):\n    return x.tanh() * factor\n"), effort=Effort.QUICK
    )
    assert found.verdict is Verdict.CORRECT, found.reason
    assert {case["workload"] for case in found.errors["cases"]} == {"small", "large", "odd"}
    assert {"small/candidate", "large/eager"} <= set(found.timing)
    assert found.speedup["eager"] is not None
    assert found.timing["small/candidate"].without_copy is not None
    assert [s.name.value for s in found.stages] == ["static", "build", "policy", "smoke", "verify", "measure"]
    assert all(s.passed and s.seconds >= 0 for s in found.stages)
    assert found.roofline is not None
    assert found.roofline.percent > 0
    json.dumps(to_json(found), allow_nan=False)
    names = [d["name"] for e, d in seen if e == "stage" and d["state"] == "passed"]
    assert names == ["static", "build", "policy", "smoke", "verify", "measure"]
    assert any(e == "sample" for e, _ in seen)


def test_right_for_known_shapes_only_is_wrong(scaled: Evaluator) -> None:
    text = "def run(x, factor):\n    return x.tanh() * factor if x.shape[0] in (3, 32, 100) else x\n"
    found = scaled.evaluate(python(text), effort=Effort.QUICK)
    assert found.verdict is Verdict.WRONG
    assert found.worst is not None
    assert found.worst.workload == "odd"


def test_workloads_that_favour_different_baselines_still_give_a_gain(
    settings: Settings, lent: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each was timed against its own better baseline, no figure could be given over both, and a search had nothing.
    path = tmp_path / "two.py"
    path.write_text(SCALED.replace("tanh(x) * factor", "tanh(x) * factor + 0"))
    with Evaluator(load(path), sandbox=lent, settings=settings) as evaluator:
        for bench, compiled in zip(evaluator.timed, (0.5, 1.5), strict=True):
            seconds = bench.call_seconds
            evaluator.known.record(bench.name, {"eager": seconds, "compile": compiled * seconds}, {})
        assert evaluator.known.better() == "compile"
        monkeypatch.setattr(evaluator, "compiled", lambda: False)
        found = evaluator.evaluate(
            python("def run(x, factor):\n    return x.tanh() * factor\n"), effort=Effort.QUICK
        )
        assert found.verdict is Verdict.CORRECT, found.reason
        assert found.gain is not None


TANH = """2 * tl.where(
        tl.abs(v) < 0.625,
        ((((-5.70498872745e-3 * v * v + 2.06390887954e-2) * v * v - 5.37397155531e-2) * v * v + 1.33314422036e-1)
         * v * v - 3.33332819422e-1) * v * v * v + v,
        tl.where(v < 0, -1.0, 1.0) * (1 - 2 / (tl.exp(2 * tl.abs(v)) + 1)),
    )"""


def triton_for(rows: str) -> Candidate:
    """Right for these numbers of rows: of others it writes the first element only."""
    text = TRITON.replace("FORMULA", TANH)
    return python(text.replace("x, y, x.numel(),", f"x, y, x.numel() if {rows} else 1,"), Language.TRITON)


@pytest.mark.needs("triton")
def test_triton_is_interpreted_on_every_workload_but_not_timed(scaled: Evaluator) -> None:
    found = scaled.evaluate(triton_for("True"), effort=Effort.QUICK)
    assert found.verdict is Verdict.CORRECT, found.reason
    assert {case["workload"] for case in found.errors["cases"]} == {"small", "large", "odd"}
    assert found.gain is None
    assert found.notes == (
        "not timed: kopt does not run kernels on GPUs yet; Triton was interpreted on the CPU, for correctness only",
    )


@pytest.mark.needs("triton")
@pytest.mark.parametrize(
    ("rows", "where"),
    [
        ("x.shape[0] == 3", "small"),  # the smoke shape
        ("x.shape[0] in (3, 32, 100)", "odd"),  # held out
    ],
)
def test_triton_right_for_some_shapes_only_is_wrong(scaled: Evaluator, rows: str, where: str) -> None:
    found = scaled.evaluate(triton_for(rows), effort=Effort.QUICK)
    assert found.verdict is Verdict.WRONG
    assert found.worst is not None
    assert found.worst.workload == where


@pytest.mark.needs("triton")
def test_triton_that_runs_no_kernel_is_not_correct(scaled: Evaluator) -> None:
    # Under the interpreter there is no device, so a way around the kernel was all that was judged.
    text = TRITON.replace("FORMULA", "v").replace(
        "    y =", "    if not x.is_cuda:\n        return x.tanh() * factor\n    y ="
    )
    found = scaled.evaluate(python(text, Language.TRITON), effort=Effort.QUICK)
    assert found.verdict is Verdict.BUILD_FAILED
    assert "launches no Triton kernel" in found.reason


@pytest.mark.needs("triton")
def test_host_code_that_stops_only_ahead_of_time_is_told(scaled: Evaluator) -> None:
    text = (
        triton_for("True")
        .sources["k.py"]
        .replace(
            "    return y",
            "    import os\n    assert 'TRITON_INTERPRET' in os.environ, 'later'\n    return y",
        )
    )
    found = scaled.evaluate(python(text, Language.TRITON), effort=Effort.QUICK)
    assert found.verdict is Verdict.CORRECT, found.reason
    (note,) = [note for note in found.notes if "not compiled" in note]
    assert "AssertionError: later" in note


@pytest.mark.needs("triton")
def test_workloads_too_large_to_interpret_are_told(
    scaled: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpret, "MOST", 2000)  # of 1536, 16384, 51200 and, held out, 3584
    found = scaled.evaluate(triton_for("x.shape[0] == 3"), effort=Effort.QUICK)
    assert found.verdict is Verdict.CORRECT, found.reason
    (note,) = [note for note in found.notes if "too large to interpret" in note]
    assert "small (16384 elements), large (51200 elements), 1 held-out shape:" in note
    assert "odd" not in note and "3584" not in note
    assert found.errors["not_verified"] == ["small", "large"]
    monkeypatch.setattr(interpret, "MOST", 1000)
    found = scaled.evaluate(triton_for("True"), effort=Effort.QUICK)
    assert found.verdict is Verdict.REJECTED
    assert (
        "1536 elements are too many to interpret, and kopt does not run kernels on GPUs yet" in found.reason
    )


def test_the_first_of_the_interpreted_workloads_gets_half_of_the_time() -> None:
    assert interpret.share(0, 1) == interpret.SECONDS
    assert interpret.share(0, 4) == interpret.SECONDS / 2
    assert sum(interpret.share(number, 4) for number in range(4)) == pytest.approx(interpret.SECONDS)


@pytest.mark.needs("nvcc")
def test_cuda_is_compiled_but_never_called_correct(scaled: Evaluator) -> None:
    candidate = Candidate(
        sources={"k.cu": CUDA}, language=Language.CUDA, entry="k.cu::run", style=Style.DESTINATION
    )
    found = scaled.evaluate(candidate)
    assert found.verdict is Verdict.REJECTED
    assert "registers" in found.reason
    assert "kopt does not run kernels on GPUs yet; `kopt profile` tells" in found.reason
    assert [(s.name.value, s.passed) for s in found.stages][1] == ("build", True)


def test_a_race_of_one_against_itself_has_no_winner(silu: Evaluator) -> None:
    candidate = python("def run(x):\n    return x * x.sigmoid()\n")
    found = silu.race(candidate, candidate, Effort.QUICK)
    assert found.pairs >= 2
    assert found.low <= 1.0 <= found.high or not declared_faster(found)


def test_a_race_gives_each_side_the_others_memory(silu: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    # The memory behind one ring was 4 % faster than that behind another: a kernel beat itself 11 times of 20.
    bench = silu.timed[0]
    borrow, taken = bench.borrow, []
    monkeypatch.setattr(bench, "borrow", lambda: taken.append(borrow()) or taken[-1])
    candidate = python("def run(x):\n    return x * x.sigmoid()\n")
    silu.race(candidate, candidate, Effort.QUICK)
    first, second, third, fourth = (ring.buffer for ring in taken)
    assert first is not second
    assert third is first and fourth is second  # taken in the other order: candidate last


def test_a_full_measurement_sits_twice_in_other_memory(
    silu: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever got the faster memory was some per cent faster, however many pairs were taken.
    bench = silu.timed[0]
    load, loaded, rings = silu.contestant, [], []

    def contestant(*words: object, **options: object) -> object:
        one = load(*words, **options)  # type: ignore[arg-type]
        assert bench.eager.ring is not None
        loaded.append(one)
        rings.append((one.ring.buffer, bench.eager.ring.buffer))
        return one

    monkeypatch.setattr(silu, "contestant", contestant)
    monkeypatch.setattr(silu, "policy", Policy.FREE)  # which is not traced
    found = silu.evaluate(python("def run(x):\n    return x * x.sigmoid()\n"))
    assert found.verdict is Verdict.CORRECT, found.reason
    timed = [one for one in loaded if one.bench is bench]
    assert len(timed) == 2
    assert rings[loaded.index(timed[0])][0] is not rings[loaded.index(timed[1])][0]
    assert bench.eager.ring is not None
    assert bench.eager.ring.buffer is not rings[0][1]
    gain = found.speedup["eager"]
    assert gain is not None
    assert gain.pairs == len(found.timing["candidate"].samples) >= LEAST


def test_only_the_way_from_answer_to_look_is_charged(
    silu: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A judge slow to ask charged the candidate for it, and called honest ones tampered on a busy machine.
    bench = silu.timed[0]
    with silu.contestant(bench, python("def run(x):\n    return x * x.sigmoid()\n"), None) as one:
        usual = min(one.round(Stretch(0, 1)) for _ in range(5))
        ready = one.runner._refuse_early_words
        monkeypatch.setattr(one.runner, "_refuse_early_words", lambda: (time.sleep(0.02), ready()))
        assert min(one.round(Stretch(0, 1)) for _ in range(5)) < usual + 0.01
        monkeypatch.setattr(Glance, "take", lambda self: time.sleep(0.02))
        monkeypatch.setattr(Glance, "changed", lambda self: False)
        assert one.round(Stretch(0, 1)) > 0.02


def test_quick_evaluation_stops_when_the_incumbent_is_out_of_reach(silu: Evaluator) -> None:
    slow = python("import time\ndef run(x):\n    time.sleep(0.002)\n    return x * x.sigmoid()\n")
    incumbent = silu.evaluate(python("def run(x):\n    return x * x.sigmoid()\n"), effort=Effort.QUICK)
    found = silu.evaluate(slow, effort=Effort.QUICK, incumbent=incumbent)
    assert found.verdict is Verdict.CORRECT, found.reason
    assert found.gain is not None
    assert incumbent.gain is not None
    assert found.gain.ratio < incumbent.gain.ratio


def test_baselines_are_kept_between_processes(silu: Evaluator, home: Path) -> None:
    kept = list((home / "baselines").glob("*/baselines.json"))
    assert kept
    assert silu.baselines()["eager"] > 0


PEAKS = Peaks(copy=20e9, triad=18e9, read=25e9, flops=100e9)


def spec(bytes_required: int, flops: float) -> WorkloadSpec:
    x = TensorSpec(name="x", shape=(1 << 20,), dtype="float32", strides=(1,))
    return WorkloadSpec(
        workload=Workload(name="w", index=0),
        arguments=(x,),
        state=(),
        outputs=(x,),
        flops=flops,
        bytes_required=bytes_required,
    )


def test_roofline_names_what_binds() -> None:
    memory = roofline(PEAKS, spec(8 << 20, 1e6), 4 << 20, 1e-3)
    assert memory is not None
    assert memory.limit == "memory"
    assert memory.percent == pytest.approx(100 * (8 << 20) / 20e9 / 1e-3)
    arithmetic = roofline(PEAKS, spec(8 << 20, 1e9), 4 << 20, 20e-3)
    assert arithmetic is not None
    assert arithmetic.limit == "arithmetic"
    assert arithmetic.percent == pytest.approx(50)
    reading = roofline(PEAKS, spec(8 << 20, 0), 4096, 1e-3)
    assert reading is not None
    assert reading.bandwidth == 25e9


def test_too_good_leaves_room_for_writes_that_wait_in_the_cache() -> None:
    cache = 32 << 20
    few = allowed_seconds(PEAKS, spec(64 << 20, 0), 32 << 20, 2, cache)
    many = allowed_seconds(PEAKS, spec(64 << 20, 0), 32 << 20, 100, cache)
    assert few == pytest.approx(0.85 * (96 << 20) / 2 / 20e9)
    assert many > few
    assert allowed_seconds(PEAKS, spec(1 << 10, 1e9), 1 << 10, 2, cache) == pytest.approx(0.85 * 2.5e-3)
