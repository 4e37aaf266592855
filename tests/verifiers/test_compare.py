"""Outputs of programs, compared in pieces: the same words whatever the pieces, and little memory."""

from __future__ import annotations

import struct
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kopt.problems.code import Rules
from kopt.verifiers.code import compare
from kopt.verifiers.code.compare import difference

MIB = 1 << 20


def rules(how: str) -> Rules:
    return Rules.model_validate(
        {"editable": ["a.py"], "run": "python a.py", "generate": "g.py", "sizes": [1], "timed": [1]}
        | {"compare": how, "rtol": 0.0, "atol": 0.1}
    )


def doubles(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}d", *numbers)


@pytest.mark.parametrize(
    ("how", "expected", "got", "told"),
    [
        ("exact", b"a\nb\n", b"a\nb\n", None),
        ("exact", b"a\nb\n", b"a\nc\n", r"line 2 is 'c\n', not 'b\n'"),
        ("exact", b"a\nb\n", b"a\nb", r"line 2 is 'b', not 'b\n'"),
        ("exact", b"a\n", b"a\nb", "line 2 is 'b', not missing"),
        ("exact", b"a\r\nb", b"a\rb", r"line 1 is 'a\r', not 'a\r\n'"),
        ("exact", b"a\rb", b"a\rc", "line 2 is 'c', not 'b'"),
        ("exact", b"", b"x" * 99, f"line 1 is '{'x' * 60}', not missing"),
        ("tokens", b"a b\n", b" a\tb", None),
        ("tokens", b"a b c", b"a b", "word 3 is missing, not 'c'"),
        ("tokens", b"a b", b"a x c", "word 2 is 'x', not 'b'"),
        ("tokens", b"", b"a", "word 1 is 'a', not missing"),
        ("numbers", b"1 2 nan inf", b"1.05 2.0 nan inf", None),
        ("numbers", b"1 2 3", b"1 3 4", "number 2 is 3, not 2; 2 of 3 are wrong"),
        ("numbers", b"1 2 3", b"9 2", "it prints 2 numbers, not 3"),
        ("numbers", b"1 2 x", b"y", "what the original prints is no list of numbers"),
        ("numbers", b"1 2 3", b"1 y", "what it prints is no list of numbers"),
        ("float64", doubles(1, 2), doubles(1, 5), "number 2 is 5, not 2; 1 of 2 are wrong"),
        ("float64", doubles(1, 2), doubles(1) + b"x", "what it prints is no list of numbers"),
    ],
)
def test_what_is_told(how: str, expected: bytes, got: bytes, told: str | None) -> None:
    assert difference(rules(how), expected, got) == told


BITS = st.sampled_from(
    [b"1", b"2.5", b"nan", b" ", b" ", b"\n", b"\r", b"\r\n", b"x", b"a-long-word", doubles(1), doubles(0)]
)
SIDES = st.lists(BITS, max_size=12)


@given(
    how=st.sampled_from(["exact", "tokens", "numbers", "float64"]),
    one=SIDES,
    changes=st.lists(st.tuples(st.integers(0, 12), BITS | st.just(b"")), max_size=2),
)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_pieces_do_not_matter(how: str, one: list[bytes], changes: list[tuple[int, bytes]]) -> None:
    other = list(one)
    for at, bit in changes:
        other[at : at + 1] = [bit]
    expected, got, found = b"".join(one), b"".join(other), []
    with pytest.MonkeyPatch.context() as patch:
        for piece in (8, MIB):
            patch.setattr(compare, "_PIECE", piece)
            found.append(difference(rules(how), expected, got))
    assert found[0] == found[1]
    if how == "tokens":
        assert (found[0] is None) == (expected.split() == got.split())
    if how == "exact":
        assert (found[0] is None) == (expected == got)


@pytest.mark.parametrize("how", ["exact", "tokens", "numbers", "float64"])
def test_memory_does_not_grow_with_the_output(how: str) -> None:
    peaks = []
    for size in (MIB // 2, 2 * MIB):
        expected, got = b"77 " * (size // 3), b"77  " * (size // 4)
        if how in ("exact", "float64"):
            expected, got = bytes(size), bytes(size - 8) + b"\1" * 8
        tracemalloc.start()
        difference(rules(how), expected, got)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 12 * MIB
    assert peaks[1] < 1.2 * peaks[0] + MIB // 8


def test_odd_outputs_take_little_time() -> None:
    began = time.process_time()
    for data in (b"1" * (4 * MIB), b"\r" * (4 * MIB), b" " * (4 * MIB)):
        for how in ("exact", "tokens", "numbers"):
            difference(rules(how), data, data[1:] + b"x")
    assert time.process_time() - began < 10
