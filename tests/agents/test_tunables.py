"""Tunables that a source declares: read from text, given other values, searched after a model's search."""

from __future__ import annotations

import time

import pytest
from role_doubles import context, reply

from kopt.agents.llm import LlmProposer
from kopt.agents.tunables import instantiate
from kopt.words import Tunable
from kopt.words.declared_tunables import MOST_CHOICES, MOST_TUNABLES, declared, rewrite
from kopt.words.source_file import candidate_of

CPP = """#define BLOCK 64  // tune: 16, 32, 64
constexpr int UNROLL = 4;  // tune: 1, 2
  static const float SHARE = 0.5f;
static const double PART = 0.5; // tune: 0.25, 0.5
void f() { int BLOCKS = BLOCK; }
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, f);
"""
PYTHON = "ROWS = 8  # tune: 4, 16\ndef run(x):\n    return x * ROWS\n"


def test_constants_with_choices_are_tunables_and_what_stands_there_is_the_default():
    assert candidate_of("k.cpp", CPP).tunables == (
        Tunable(name="BLOCK", choices=(16, 32, 64), default=64),
        Tunable(name="UNROLL", choices=(1, 2, 4), default=4),
        Tunable(name="PART", choices=(0.25, 0.5), default=0.5),
    )
    assert candidate_of("k.py", PYTHON).tunables == (Tunable(name="ROWS", choices=(4, 16, 8), default=8),)


@pytest.mark.parametrize(
    "line",
    [
        "int x = 3;  // tune: many",
        "int x = 3;  // tune: 3",
        "y = f(2)  # tune: 1, 2",
        "y = a  # tune: 1, 2",
        "int x = 3;  // tune: 1, 2; drop",
        "int x = 3;  // tune: " + ", ".join(map(str, range(MOST_CHOICES + 1))),
        "int x = 3;  // tune: 1, 2" + " " * 400,
        "int x = 3;  // tune: 1, 2\nint x = 4;  // tune: 1, 2",
    ],
)
def test_what_does_not_read_so_declares_nothing(line):
    assert declared(line) == ()
    assert len(declared("\n".join(f"#define A{n} 1 // tune: 1, 2" for n in range(40)))) == MOST_TUNABLES


@pytest.mark.parametrize(
    "line",
    ["a" * 290, "x = " * 70, "x 1 " * 70, "1" * 290, " " * 290, "#define " * 36, "/" * 290, "tune:" * 58],
)
def test_hostile_lines_take_no_time(line):
    began = time.perf_counter()
    for text in (f"{line}// tune: 1, 2\n" * 3000, line * 3000, f"{line[:200]} 1 // tune: 1, 2\n" * 3000):
        declared(text)
    assert time.perf_counter() - began < 5


def test_values_are_written_where_they_are_declared_and_nowhere_else():
    changed = instantiate(candidate_of("k.cpp", CPP), {"BLOCK": 16, "PART": 0.25})
    text = changed.sources["k.cpp"]
    assert text == CPP.replace("BLOCK 64", "BLOCK 16").replace("PART = 0.5", "PART = 0.25")
    assert (
        instantiate(candidate_of("k.py", PYTHON), {"ROWS": 16})
        .sources["k.py"]
        .startswith("ROWS = 16  # tune:")
    )
    assert rewrite("int y = 3;\n", {"y": 4}) == ("int y = 3;\n", set())


@pytest.mark.needs("tree_sitter")
def test_models_may_declare_them():
    class Model:
        name = "model"

        def complete(self, request, *, sample=0):
            from kopt.agents.chat.words import Reply

            return Reply(model="model", text=reply(CPP))

    found = next(LlmProposer(Model()).propose(context()))
    assert [tunable.name for tunable in found.tunables] == ["BLOCK", "UNROLL", "PART"]
