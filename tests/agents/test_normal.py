"""Candidates that differ in formatting, comments and local names are one; candidates that differ in more are not."""

from __future__ import annotations

import re

import pytest

from kopt.agents.normal import identity, normal_cpp, normal_python
from kopt.words import Candidate, Language, Style

pytestmark = pytest.mark.needs("tree_sitter")

CPP = """
#include <tvm/ffi/function.h>
#define TWICE(x) ((x) * scale)
static const float scale = 2.0f;

void run_it(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {
  const float* in = static_cast<const float*>(x.data_ptr());
  const int64_t n = x.numel(), m = n / 2;
  float sum = 0.0f, part[4] = {};
  auto [low, high] = split(n);
#pragma omp parallel for reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += TWICE(in[i]) - m;
  auto add = [&sum, n](float k) { return sum + k * n + low - high; };
  y.data_ptr()[0] = add(part[1]) + errno;
}
"""
SAME = [
    lambda t: t.replace("\n", "\n\n").replace("  ", "\t"),
    lambda t: t.replace("float sum", "/* the sum */ float sum // so far\n"),
    lambda t: re.sub(r"\bsum\b", "total", t),
    lambda t: re.sub(r"\bi\b", "idx", re.sub(r"\bn\b", "count", re.sub(r"\bk\b", "kk", t))),
    lambda t: re.sub(r"\blow\b", "a", re.sub(r"\bhigh\b", "b", re.sub(r"\bpart\b", "p", t))),
    lambda t: re.sub(
        r"\bin\b", "src", re.sub(r"\b(?<!\.)y\b", "out", re.sub(r"\b(?<![(])x\b(?!\))", "x", t))
    ),
]
OTHER = [
    lambda t: t.replace("0.0f", "1.0f"),
    lambda t: t.replace("low - high", "high - low"),
    lambda t: t.replace("sum += ", "sum -= "),
    lambda t: t.replace("scale = 2.0f", "factor = 2.0f"),  # not local
    lambda t: t.replace("run_it", "ran_it"),
    lambda t: t.replace("errno", "erroneous"),
    lambda t: t.replace("#pragma omp parallel for reduction(+ : sum)\n", ""),
    lambda t: t.replace("reduction(+ : sum)", "private(sum)"),
    lambda t: t.replace("[&sum, n]", "[sum, n]"),
    lambda t: t.replace("* scale)", "* scales)"),
    lambda t: t.replace("in[i]) - m", "in[m]) - i"),
]


@pytest.mark.parametrize("change", SAME)
def test_the_same_cpp(change):
    assert change(CPP) != CPP and normal_cpp(change(CPP)) == normal_cpp(CPP)


@pytest.mark.parametrize("change", OTHER)
def test_another_cpp(change):
    assert change(CPP) != CPP and normal_cpp(change(CPP)) != normal_cpp(CPP)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("void f() { use(n); { int n = 1; use(n); } }", "void f() { use(m); { int m = 1; use(m); } }"),
        ("int g(char* s) { return s[0] == 'a'; }", "int g(char* s) { return s[0] == 'b'; }"),
        ('const char* g() { return "a  b"; }', 'const char* g() { return "a b"; }'),
        ("#define N 4\nint f() { return N; }", "#define N 8\nint f() { return N; }"),
        ("void f(int a, int b) { g(a, b); }", "void f(int a, int b) { g(b, a); }"),
        ("void f(int a) { a++ + a; }", "void f(int a) { a + ++a; }"),
        ("void f( { broken", "void f(  { broken"),
    ],
)
def test_programs_that_are_alike_and_differ(one, two):
    assert normal_cpp(one) != normal_cpp(two)


PYTHON = '''
"""A kernel."""
import torch
import triton.language as tl
LIMIT = 3

def kernel(x_ptr, n, BLOCK: tl.constexpr):
    """Doc."""
    offsets = tl.arange(0, BLOCK)  # lanes
    values = tl.load(x_ptr + offsets, mask=offsets < n)
    tl.store(x_ptr + offsets, values * LIMIT)

def run(x):
    total = [v for v in x]
    kernel[(1,)](x, len(total), BLOCK=64)
    return max(total)
'''
PYTHON_SAME = [
    lambda t: t.replace("# lanes", "").replace("\n\n", "\n\n\n").replace('    """Doc."""\n', ""),
    lambda t: t.replace("offsets", "o").replace("values", "loaded").replace("x_ptr", "base"),
    lambda t: t.replace("total", "everything").replace("v for v", "item for item"),
]
PYTHON_OTHER = [
    lambda t: t.replace("BLOCK", "WIDTH"),  # called by keyword
    lambda t: t.replace("LIMIT", "MOST"),
    lambda t: t.replace("values * LIMIT", "values + LIMIT"),
    lambda t: t.replace("max(", "min("),
    lambda t: t.replace("offsets < n", "offsets <= n"),
    lambda t: t.replace("def run(x)", "def run(x=1)"),
]


@pytest.mark.parametrize("change", PYTHON_SAME)
def test_the_same_python(change):
    assert change(PYTHON) != PYTHON and normal_python(change(PYTHON)) == normal_python(PYTHON)


@pytest.mark.parametrize("change", PYTHON_OTHER)
def test_another_python(change):
    assert change(PYTHON) != PYTHON and normal_python(change(PYTHON)) != normal_python(PYTHON)


def test_names_that_are_read_keep_themselves():
    one = "def run(x):\n    a = 1\n    return locals()['a']\n"
    assert normal_python(one) != normal_python(one.replace("a = 1", "b = 1"))
    assert normal_python("def broken(") == "def broken("


def test_identity_holds_what_is_no_source():
    def made(text, **more):
        options = {"language": Language.CPP, "entry": "k.cpp::run", "style": Style.DESTINATION, **more}
        return identity(Candidate(sources={"k.cpp": text}, **options))

    assert made(CPP) == made(re.sub(r"\bsum\b", "s", CPP))
    assert made(CPP) != made(CPP, flags=("-O2",)) and made(CPP) != made(CPP, entry="k.cpp::other")
