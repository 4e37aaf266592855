"""Reports of several compilers' sanitizers, read; what is not the candidate's is left alone."""

from __future__ import annotations

import time

import pytest

from kopt.verifiers.sanitizer_report import find, reached_its_end

SOURCES = ("k.cpp", "deep/tile.h")
TENSORS = "kopt: tensor x 0x1000 4000\nkopt: tensor y 0x9000 4000\n"


def memory(kind: str, address: int, access: str = "WRITE", frame: str = "k.cpp:12", region: str = "") -> str:
    return (
        f"{TENSORS}=================\n==1==ERROR: AddressSanitizer: {kind} on address {address:#x} at pc 0x1 bp 0x2\n"
        f"{access} of size 4 at {address:#x} thread T0\n    #0 0x55 in memcpy ../../libsanitizer/memcpy.inc:10\n"
        f"    #1 0x56 in kernel(tvm::ffi::TensorView) {frame}\n    #2 0x57 in main /x/sanitizers/host.cpp:1\n\n"
        f"{region}\n"
    )


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (0x9000 + 4004, "4 bytes after the end of y (4000 bytes)"),
        (0x1000 - 8, "8 bytes before the start of x"),
        (0x1000 + 3998, "across the end of x"),
    ],
)
def test_the_tensor_beside_a_fault_is_named(address: int, words: str) -> None:
    fault = find(memory("use-after-poison", address), SOURCES)
    assert fault is not None
    assert (fault.kind, fault.file, fault.line) == ("out-of-bounds write", "k.cpp", 12)
    assert words in fault.text


@pytest.mark.parametrize("side", ["to the right of", "after"])
def test_old_and_new_wordings(side: str) -> None:
    region = f"0x40 is located 4 bytes {side} 64-byte region [0x10,0x50)"
    fault = find(memory("heap-buffer-overflow", 0x40, "READ", "./deep/tile.h:7:3", region), SOURCES)
    assert fault is not None
    assert str(fault).startswith("out-of-bounds read at deep/tile.h:7: 4 bytes, 4 bytes after the end of")


def test_what_lies_in_other_files_has_no_line() -> None:
    fault = find(memory("heap-use-after-free", 0x40, frame="/usr/include/c++/12/vector:3"), SOURCES)
    assert fault is not None
    assert (fault.file, fault.line) == ("", None)


def test_undefined_behaviour_counts_in_the_candidates_files_only() -> None:
    text = "/usr/include/tvm/ffi/any.h:3:4: runtime error: signed integer overflow: 1 + 2\n"
    assert find(text, SOURCES) is None
    fault = find(f"{text}k.cpp:5:9: runtime error: division by zero\n", SOURCES)
    assert fault is not None
    assert (fault.kind, fault.line) == ("undefined behaviour", 5)


def race(first: str, second: str) -> str:
    return (
        f"{TENSORS}==================\nWARNING: ThreadSanitizer: data race (pid=1)\n"
        f"  Write of size 4 at 0x9008 by thread T2:\n    #0 {first} (program+0x1)\n\n"
        f"  Previous read of size 4 at 0x9008 by thread T1:\n    #0 {second} (program+0x2)\n\n"
        "  Thread T2 (tid=4, running) created by main thread at:\n    #0 run k.cpp:99 (program+0x3)\n\n"
        "SUMMARY: ThreadSanitizer: data race\n==================\n"
    )


def test_races_name_both_lines() -> None:
    fault = find(race("body k.cpp:8", "other k.cpp:9"), SOURCES)
    assert fault is not None
    assert (fault.kind, fault.line) == ("data race", 8)
    assert "byte 8 of y" in fault.text and "line 9" in fault.text


@pytest.mark.parametrize(
    "pair",
    [
        ("a libfoo.cpp:8", "b libfoo.cpp:9"),
        ("body k.cpp:8", "b libfoo.cpp:9"),
        ("<null> <null>", "<null> <null>"),
    ],
)
def test_races_with_what_is_not_instrumented_do_not_count(pair: tuple[str, str]) -> None:
    assert find(race(*pair) + "kopt: done\n", SOURCES) is None


@pytest.mark.parametrize("kind", ["stack-overflow", "out-of-memory", "allocation-size-too-big"])
def test_limits_of_the_sanitizer_are_no_fault(kind: str) -> None:
    text = memory(kind, 0x40)
    assert find(text, SOURCES) is None
    assert kind in reached_its_end(text)


@pytest.mark.parametrize(
    "text",
    [
        "WARNING: ThreadSanitizer: data race\n  Write of size 4 at 0x1 by\n" * 4000,
        "==1==ERROR: AddressSanitizer: use-after-poison on address 0x1\n    #0 " + "a" * 250_000,
        "==1==ERROR: AddressSanitizer: use-after-poison on address 0x1\n    #0 f k.cpp:" + "9" * 250_000,
        "k.cpp:" + "9" * 250_000 + ":1: runtime error: ",
        "  Write " * 30_000,
        "'" * 250_000,
        f"kopt: fence y after {'9' * 250_000}\n",
    ],
)
def test_forged_reports_are_read_in_time(text: str) -> None:
    started = time.monotonic()
    fault = find(text, SOURCES)
    assert fault is None or len(str(fault)) < 500
    reached_its_end(text)
    assert time.monotonic() - started < 5


def test_what_a_terminal_would_obey_is_not_passed_on() -> None:
    fault = find("k.cpp:5:9: runtime error: \x1b[2J gone\n", SOURCES)
    assert fault is not None
    assert "\x1b" not in str(fault)
