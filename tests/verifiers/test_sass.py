"""The machine code of GPU kernels: read from nvdisasm's text, which anybody may have written; and from real builds."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kopt.verifiers import Effort, Evaluator
from kopt.verifiers.profile import decide, disassembly, gpu_loops, sass
from kopt.verifiers.profile.facts import Facts
from kopt.verifiers.profile.loops import innermost
from kopt.words import BottleneckName, Candidate, GpuKernel, GpuLoop, Language, Style, Verdict

SOURCES = ("k.cu",)
LISTING = """
//--------------------- .text._Z3sumPKfPfi     --------------------------
	.section	.text._Z3sumPKfPfi,"ax",@progbits
	.align	128
//## File "/scratch/k.cu", line 3
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/              @P1 BRA `(.L_x_1) ;
.L_x_2:
//## File "/scratch/k.cu", line 5
        /*0020*/                   LDG.E R5, desc[UR8][R4.64] ;
//##
        /*0030*/                   IMAD.IADD R3, R6, 0x1, R3 ;
//## File "/scratch/k.cu", line 6
        /*0040*/                   FFMA R0, R5, R5, R0 ;
        /*0050*/              @!P0 BRA `(.L_x_2) ;
.L_x_1:
        /*0060*/                   STG.E desc[UR8][R2.64], R0 ;
        /*0070*/                   EXIT ;
.L_x_3:
        /*0080*/                   BRA `(.L_x_3);
""".splitlines()


def kernel(*code: str) -> list[str]:
    head = '\t.section\t.text.k,"ax",@progbits'
    return [head, *(f"        /*{16 * n:04x}*/                   {line} ;" for n, line in enumerate(code))]


def hot(*code: str) -> GpuLoop:
    (function,) = sass.functions(kernel(*code), SOURCES)
    found = gpu_loops.hot(function)
    assert found is not None
    return found


def test_labels_become_addresses_and_loops_are_found() -> None:
    (function,) = sass.functions(LISTING, SOURCES)
    assert function.name == "_Z3sumPKfPfi" and len(function.instructions) == 9
    assert str(function.instructions[5]) == "@!P0 BRA 0x20"
    loops = innermost(function, sass.flow)
    assert [[one.address for one in loop.code] for loop in loops] == [[0x20, 0x30, 0x40, 0x50], [0x80]]
    found = gpu_loops.hot(function)
    assert found is not None and (found.file, found.lines, found.depth) == ("k.cu", (5, 6), 1)
    assert (found.loads, found.load_bytes, found.stores, found.single) == (1, 4, 0, 1)
    assert found.assembly[-1] == "@!P0 BRA 0x20"


def test_a_kernel_without_loops_is_one() -> None:
    found = hot("LDG.E.128 R4, desc[UR6][R2.64]", "FADD R4, R4, R5", "STG.E.64 desc[UR6][R2.64], R4", "EXIT")
    assert (found.depth, found.instructions, found.load_bytes, found.store_bytes) == (0, 4, 16, 8)
    assert found.lines == (0, 0) and found.file == ""


@pytest.mark.parametrize(
    ("code", "counts"),
    [
        ("LDG.E.U8.CONSTANT R4, [R2.64]", {"loads": 1, "load_bytes": 1}),
        ("LDG.E.LTC128B.64 R4, [R2.64]", {"loads": 1, "load_bytes": 8}),
        ("LDGSTS.E.BYPASS.LTC128B.128 [R1], [R2.64]", {"loads": 1, "load_bytes": 16, "shared": 1}),
        ("UTMALDG.2D [UR8], [UR4]", {"loads": 1, "load_bytes": 16}),
        ("@P0 STG.E.U16 [R2.64], R3", {"stores": 1, "store_bytes": 2}),
        ("HMMA.16816.F32.BF16 R4, R8, R12, R4", {"tensor": 1}),
        ("HGMMA.64x128x16.F32.BF16 R24, gdesc[UR4], R24", {"tensor": 1}),
        ("UTCHMMA gdesc[UR4], gdesc[UR6], tmem[UR8]", {"tensor": 1}),
        ("HFMA2.MMA R23, -RZ, RZ, 0, 0", {"tensor": 0, "single": 0}),
        ("HFMA2 R4, R4, R5, R6", {"single": 1}),
        ("DFMA R2, R4, R6, R8", {"double": 1, "single": 0}),
        ("F2F.F64.F32 R2, R4", {"double": 1}),
        ("MUFU.RSQ64H R3, R5", {"double": 1, "special": 0}),
        ("MUFU.EX2 R3, R5", {"double": 0, "special": 1}),
        ("LDL.64 R2, [R1]", {"local": 1}),
        ("LDSM.16.M88.4 R4, [R2]", {"shared": 1}),
        ("BAR.SYNC.DEFER_BLOCKING 0x0", {"barriers": 1}),
    ],
)
def test_what_instructions_are(code: str, counts: dict[str, int]) -> None:
    (function,) = sass.functions(kernel(code), SOURCES)
    found = gpu_loops.mix(function.instructions)
    assert {name: found[name] for name in counts} == counts


def facts(loop: GpuLoop, *, flops: float = 1e6, dtypes: tuple[str, ...] = ("float32",)) -> Facts:
    one = GpuKernel(
        name="_Z3sumPKfPfi", target="sm_90", registers=32, spill_bytes=0, shared_bytes=0, loop=loop
    )
    return Facts(kernels=(one,), bytes_required=1 << 20, flops=flops, dtypes=frozenset(dtypes))


def loop(**counts: int) -> GpuLoop:
    return GpuLoop(file="k.cu", lines=(5, 9), depth=1, instructions=20, **counts)


@pytest.mark.parametrize(
    ("given_facts", "name", "words"),
    [
        (facts(loop(double=2)), BottleneckName.DOUBLE_PRECISION, "k.cu:5-9: 2 of 20 instructions of sum's"),
        (facts(loop(double=2), dtypes=("float64",)), BottleneckName.NONE_FOUND, ""),
        (
            facts(loop(single=64), flops=1e9, dtypes=("bfloat16",)),
            BottleneckName.NO_TENSOR_CORES,
            "954 operations for each byte, of bfloat16",
        ),
        (facts(loop(tensor=4), flops=1e9, dtypes=("bfloat16",)), BottleneckName.NONE_FOUND, ""),
        (facts(loop(single=64), flops=1e9), BottleneckName.NONE_FOUND, ""),
        (facts(loop(loads=2, load_bytes=8)), BottleneckName.NARROW_ACCESS, "4 bytes with each of its 2"),
        (facts(loop(loads=2, load_bytes=32)), BottleneckName.NONE_FOUND, ""),
        (facts(loop(loads=2, load_bytes=8), flops=1e9), BottleneckName.NONE_FOUND, ""),
    ],
)
def test_rules(given_facts: Facts, name: BottleneckName, words: str) -> None:
    found = decide(given_facts)
    assert found.name is name and words in found.evidence[0]


LINES = st.sampled_from(
    [
        '\t.section\t.text.k,"ax",@progbits',
        ".L_x_1:",
        ".L_x_2:",
        "        /*0010*/  BRA `(.L_x_1) ;",
        "        /*0020*/  @P0 BRA `(.L_x_2) ;",
        "        /*0030*/  @P0 ;",
        "        /*0030*/     ;",
        "        /*0040*/  LDG.E.999 R1 ;",
        "        /*0050*/  EXIT ;",
        '//## File "k.cu", line 99999',
        "//##",
    ]
)


@given(st.lists(LINES | st.text(max_size=80), max_size=60))
@settings(max_examples=300, deadline=None)
def test_whatever_the_text_is_it_is_read(lines: list[str]) -> None:
    artifact = json.dumps({"sass": lines}).encode()
    for function in sass.read(artifact, SOURCES):
        gpu_loops.hot(function)


def test_a_long_listing_takes_little_time() -> None:
    lines = [f"        /*{16 * n:08x}*/ @P0 BRA `(.L_x_{n % 900}) ;" for n in range(100_000)]
    lines = ['\t.section\t.text.k,"ax",@progbits', *(f".L_x_{n}:" for n in range(900)), *lines]
    began = time.monotonic()
    for function in sass.functions(lines, SOURCES):
        gpu_loops.hot(function)
    assert time.monotonic() - began < 20
    assert sass.read(b"not JSON", SOURCES) == () and sass.read(None, SOURCES) == ()
    assert sass.read(json.dumps({"sass": {"a": 1}}).encode(), SOURCES) == ()


@pytest.mark.parametrize(
    "line",
    [
        "/*0*/" + " " * 495,
        " " * 499,
        "/*0*/ " + "; " * 240,
        "/*0*/" + " ;" * 20 + " " * 450,
        "\t" * 499 + ";",
    ],
)
def test_lines_of_spaces_take_little_time(line: str) -> None:
    began = time.process_time()
    sass.functions([line] * 5000, SOURCES)
    assert time.process_time() - began < 1.0


def test_an_instruction_of_spaces_is_none() -> None:
    assert sass.functions(kernel("", "EXIT"), SOURCES)[0].instructions[0].mnemonic == "EXIT"


CUDA = """
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
__global__ void silu(const float* x, float* y, int n) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    y[i] = x[i] / (ONE + expf(-x[i]));
}
void run(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  silu<<<132, 256>>>((const float*)x.data_ptr(), (float*)y.data_ptr(), x.numel());
}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, run);
"""


@pytest.mark.needs("bubblewrap", "nvcc", "triton")
@pytest.mark.parametrize(
    ("one", "name"), [("1.0", BottleneckName.DOUBLE_PRECISION), ("1.0f", BottleneckName.NARROW_ACCESS)]
)
def test_a_cuda_kernel_as_built(silu: Evaluator, one: str, name: BottleneckName) -> None:
    candidate = Candidate(
        sources={"k.cu": CUDA.replace("ONE", one).replace("silu", "silu" + "u" * 130)},  # as of a template
        language=Language.CUDA,
        entry="k.cu::run",
        style=Style.DESTINATION,
    )
    found = silu.evaluate(candidate, effort=Effort.VERIFY, profile=True)
    assert found.verdict is Verdict.REJECTED and found.profile is not None
    assert found.profile.bottleneck.name is name, found.profile
    assert (
        "k.cu:" in found.profile.bottleneck.evidence[0] and "of silu" in found.profile.bottleneck.evidence[0]
    )
    text = disassembly(silu, candidate)
    assert any("LDG" in line for line in text) and all(line.isprintable() for line in text)


TRITON = """
import triton
import triton.language as tl


@triton.jit
def kernel(x, y, n, BLOCK: tl.constexpr):
    for start in range(tl.program_id(0) * BLOCK, n, BLOCK * tl.num_programs(0)):
        at = start + tl.arange(0, BLOCK)
        v = tl.load(x + at, mask=at < n)
        tl.store(y + at, v * tl.sigmoid(v), mask=at < n)


def run(x, y):
    kernel[(4,)](x, y, x.numel(), BLOCK=1024)
"""


@pytest.mark.needs("bubblewrap", "triton")
def test_a_triton_kernel_as_built(silu: Evaluator) -> None:
    candidate = Candidate(
        sources={"k.py": TRITON}, language=Language.TRITON, entry="k.py::run", style=Style.DESTINATION
    )
    found = silu.evaluate(candidate, effort=Effort.VERIFY, profile=True)
    assert found.verdict is Verdict.CORRECT and found.profile is not None, found.reason
    (one,) = found.profile.kernels
    assert one.loop is not None and one.loop.file == "k.py" and one.loop.depth == 1
    assert one.loop.load_bytes == 16 * one.loop.loads and one.loop.special and not one.loop.double
