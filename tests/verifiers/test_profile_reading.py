"""Listings, loops and steps, read from text that anybody may have written."""

from __future__ import annotations

import json
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kopt.sandbox.runner.toolchains.multiprocessor import LIMITS
from kopt.verifiers.profile import decide, hot, listing, mix, occupancy
from kopt.verifiers.profile.addresses import HELD, LOADED, Steps, place
from kopt.verifiers.profile.counters import Counters
from kopt.verifiers.profile.facts import Facts
from kopt.verifiers.profile.listing import Instruction, Listing
from kopt.verifiers.profile.loops import innermost
from kopt.words import BottleneckName

SOURCES = ("k.cpp", "deep/tile.h")
NEST = """
0000000000001000 <kernel(float*) [clone ._omp_fn.0]>:
kernel(float*)():
./k.cpp:10
    1000:\txor    eax,eax
    1002:\txor    edx,edx
/elsewhere/cmath:99
    1010:\tvmovss xmm0,DWORD PTR [rdi+rdx*4]
./k.cpp:12 (discriminator 3)
    1014:\tvaddss xmm0,xmm0,DWORD PTR [rsi]
    1018:\tadd    rsi,rcx
    101c:\tinc    rdx
    1020:\tcmp    rdx,r8
    1024:\tjne    1010 <kernel(float*) [clone ._omp_fn.0]+0x10>
./k.cpp:10
    1028:\tinc    rax
    102c:\tcmp    rax,r9
    1030:\tjne    1002 <kernel(float*) [clone ._omp_fn.0]+0x2>
    1034:\tret
"""


def code(*lines: str) -> list[Instruction]:
    parts = [line.partition(" ") for line in lines]
    return [Instruction(16 * n, name, rest) for n, (name, _, rest) in enumerate(parts)]


def test_a_nest_has_one_innermost_loop_with_its_depth_and_lines() -> None:
    functions = listing.functions(NEST.splitlines(), SOURCES)
    assert [len(f.instructions) for f in functions] == [12]
    (loop,) = innermost(functions[0])
    assert loop.depth == 2 and [i.mnemonic for i in loop.code] == [
        "vmovss",
        "vaddss",
        "add",
        "inc",
        "cmp",
        "jne",
    ]
    (told,) = hot.loops(Listing(functions, ()))
    assert (told.file, told.lines) == ("k.cpp", (12, 12))
    assert (told.scalar, told.packed, told.memory, told.strided, told.vector_bytes) == (1, 0, 2, 1, 0)


def test_a_loop_with_a_way_out_to_a_block_behind_it_is_one_loop() -> None:
    # sqrtf's slow path lies behind the loop and jumps back into it.
    text = """
0000000000001000 <f>:
./k.cpp:5
    1000:\tvsqrtss xmm0,xmm0,DWORD PTR [rdi]
    1004:\tja     1020 <f+0x20>
    1008:\tvmovss DWORD PTR [rdi],xmm0
    100c:\tadd    rdi,0x4
    1010:\tcmp    rdi,rsi
    1014:\tjne    1000 <f>
    1018:\tret
    1020:\tcall   900 <sqrtf@plt>
    1024:\tjmp    1008 <f+0x8>
"""
    (loop,) = innermost(listing.functions(text.splitlines(), SOURCES)[0])
    assert list(mix.of(loop.code).calls) == ["sqrtf"] and mix.of(loop.code).divisions == 1


def test_remarks_are_those_of_own_lines_and_say_why() -> None:
    lines = [
        "k.cpp:12:5: missed: couldn't vectorize loop",
        "k.cpp:12:5: missed: not vectorized: complicated access pattern.",
        "/usr/include/c++/12/bits/x.h:12:5: optimized: loop vectorized using 64 byte vectors",
        "k.cpp:40:5: optimized: loop vectorized using 32 byte vectors",
    ]
    found = listing.remarks(lines, SOURCES)
    assert len(found) == 3
    assert hot.condensed(found, "k.cpp", 10, 14) == (
        "k.cpp:12: missed: not vectorized: complicated access pattern.",
    )
    assert hot.condensed(found, "k.cpp", 40, 40)[0].endswith("using 32 byte vectors")


@pytest.mark.parametrize(
    ("lines", "operand", "step"),
    [
        (["add rax,0x40"], "ZMMWORD PTR [rax]", 64),
        (["sub rax,0xffffffffffffff80"], "DWORD PTR [rax+0x8]", 128),
        (["inc rdx"], "DWORD PTR [rdi+rdx*4]", 4),
        (["add rax,rcx"], "DWORD PTR [rax]", HELD),
        (["add rax,rcx", "lea r8,[rax+rcx*2]"], "DWORD PTR [r8]", HELD),
        (["movsxd r9,DWORD PTR [rsi+rdx*4]", "inc rdx"], "DWORD PTR [rdi+r9*4]", LOADED),
        (["mov r9,QWORD PTR [rsp+0x8]"], "DWORD PTR [r9]", None),
        (["imul rax,rcx"], "DWORD PTR [rax]", None),
        ([], "DWORD PTR [rip+0x10]", 0),
        (["add eax,0x4"], "DWORD PTR [rax]", 4),
    ],
)
def test_steps(lines: list[str], operand: str, step: object) -> None:
    where = place(operand)
    assert where is not None and Steps(code(*lines)).of(where) == step


def test_packed_and_scalar_are_told_apart() -> None:
    found = mix.of(
        code(
            "vfmadd231ps zmm0,zmm1,ZMMWORD PTR [rax]",
            "vmovntps ZMMWORD PTR [rdi],zmm0",
            "vdivps ymm1,ymm2,ymm3",
            "vgatherdps ymm1,DWORD PTR [rax+ymm2*4],ymm3",
            "vpaddd ymm0,ymm0,ymm1",
            "vmovaps zmm9,ZMMWORD PTR [rsp+0x40]",
        )
    )
    assert (found.packed, found.scalar, found.vector_bytes) == (2, 0, 64)
    assert (found.gathers, found.streaming, found.divisions, found.spills) == (1, 1, 1, 1)
    found = mix.of(
        code(
            "vxorps xmm0,xmm1,xmm2", "vmulss xmm0,xmm0,xmm1", "vblendvps xmm0,xmm3,xmm0,xmm1", "fmul st,st(1)"
        )
    )
    assert (found.packed, found.scalar, found.vector_bytes) == (0, 2, 0)


def test_occupancy_against_worked_examples() -> None:
    # Warps, registers and shared memory in turn hold it down; the figures are those of NVIDIA's calculator.
    assert occupancy.occupancy(LIMITS[80], 256, 32, 0) == (1.0, "warps")
    assert occupancy.occupancy(LIMITS[80], 256, 128, 0) == (0.25, "registers")
    assert occupancy.occupancy(LIMITS[86], 128, 32, 48 << 10) == (8 / 48, "shared memory")
    assert occupancy.occupancy(LIMITS[90], 32, 16, 0) == (0.5, "blocks")


def test_gpu_kernels_are_read_from_a_report_that_may_lie() -> None:
    good = {"name": "k", "arch": "sm_90a", "registers": 40, "shared_bytes": 0, "warps": 4}
    report = {
        "kernels": [
            good,
            {"registers": -1},
            7,
            {**good, "registers": True},
            {**good, "arch": "x"},
            {**good, "arch": "sm_33"},
        ]
    }
    found = occupancy.kernels(report)
    assert [k.target for k in found] == ["sm_90a", "sm_33"]
    assert found[0].threads == 128 and found[0].occupancy == 0.75 and found[1].occupancy is None
    assert occupancy.kernels({"kernels": "many"}) == ()


def test_counters_count_or_say_why_not() -> None:
    with Counters(os.getpid()) as counters:
        found = counters.read()
        assert counters.why or (found and all(value >= 0 for value in found.values()))


WORDS = st.sampled_from(
    [
        "",
        "0000000000001000 <f>:",
        "./k.cpp:7",
        "k.cpp:3 (discriminator 9)",
        "    10a0:\tjne    1000 <f>",
        "    1000:\tcall   900 <g>",
        "    1004:\tvaddps zmm0,zmm0,ZMMWORD PTR [rax+rbx*8-0x7f]",
        "    1008:\tlea    rax,[rax+rax*1]",
        "    100c:\tadd    rax,rax",
        "    1010:\tjmp    100c <f>",
        "    1014:\tmov    rax,QWORD PTR [rax]",
        "\u202e\x00",
        "k.cpp:1:1: missed: \x1b[2J",
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(WORDS | st.text(max_size=60), max_size=60), st.lists(WORDS | st.text(max_size=60), max_size=10)
)
def test_whatever_is_said_becomes_one_bottleneck(assembly: list[str], remarks: list[str]) -> None:
    said = json.dumps({"assembly": assembly, "remarks": remarks}).encode()
    found = listing.read(said, SOURCES)
    loops = hot.loops(found)
    assert len(loops) <= hot.MOST_LOOPS
    for loop in loops:
        assert loop.file in SOURCES and len(loop.assembly) <= hot.SHOWN
        assert all(not set(line) & set("\n\x00\x1b\u202e") for line in (*loop.assembly, *loop.remarks))
    bottleneck = decide(Facts(loops=loops))
    assert bottleneck.name in BottleneckName and 1 <= len(bottleneck.evidence) <= 3


def test_what_is_no_listing_is_none() -> None:
    deep = b'{"assembly": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    for said in (None, b"", b"\xff\xfe", b"[]", b'{"assembly": 7}', deep, b" " * (listing.MOST_BYTES + 1)):
        assert listing.read(said, SOURCES) == Listing()


def test_a_listing_made_to_take_long_does_not() -> None:
    lines = ["0000000000001000 <f>:", "./k.cpp:7"]
    lines += [
        f"    {0x1000 + 4 * n:x}:\tjne    {0x1000 + 4 * (n * 7919 % 50_000):x} <f>" for n in range(50_000)
    ]
    began = time.process_time()
    hot.loops(Listing(listing.functions(lines, SOURCES), ()))
    lines[2:] = [
        f"    {0x1000 + 4 * n:x}:\tjne    {0x1000 + 4 * (n * 7919 % 7_000):x} <f>" for n in range(7_000)
    ]
    hot.loops(Listing(listing.functions(lines, SOURCES), ()))
    lines[2:] = [
        f"    {0x1000 + 4 * n:x}:\tjne    {0x1000 + 4 * max(0, n - n % 3):x} <f>" for n in range(7_000)
    ]
    hot.loops(Listing(listing.functions(lines, SOURCES), ()))
    assert time.process_time() - began < 10
