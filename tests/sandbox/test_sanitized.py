"""Sanitized programs: every planted fault is found where it is, honest threads are not, confinement holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kopt.sandbox import Sandbox, SharedBuffer, compilers, open_sandbox, sanitized
from kopt.sandbox.sanitized import SanitizedRun
from kopt.settings import Settings
from kopt.verifiers import sanitizer_report
from kopt.verifiers.sanitizer_report import Fault
from kopt.words import Candidate

pytestmark = [pytest.mark.needs("bubblewrap", "asan"), pytest.mark.slow]

N = 1000
# Both programs hold every case; the first input chooses one. {HERE} marks the line a report must name.
HEAD = """
#include <omp.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/function.h>
"""
MEMORY = {
    "write past the end": "for (int64_t i = 0; i <= n; ++i) out[i] = in[1];  // HERE",
    "read before the start": "out[0] = in[-2];  // HERE",
    "use after free": "float* t = new float[8]; t[0] = 1; delete[] t; out[0] = t[one];  // HERE",
    "heap": "std::vector<float> t(10); out[0] = t.data()[9 + one];  // HERE",
    "stack": "float t[10]; float* p = t; for (int i = 0; i < 10; ++i) p[i] = in[i]; out[0] = p[9 + one];  // HERE",
    "overflow": "int a = 2147483646 + one; a += one; out[0] = a;  // HERE",
    "index": "float t[10] = {}; out[0] = t[9 + one];  // HERE",
    "null": "out[0] = *(float*)(uintptr_t)(one - 1);  // HERE",
    "unseen store": 'asm volatile("movl $0, (%0)" :: "r"(out + n + one) : "memory");',
    "fresh memory": "float* t = (float*)malloc(4 * n); out[0] = t[7] * 0.0f; free(t);",
    "honest": "for (int64_t i = 0; i < n; ++i) out[i] = 2 * in[i];",
    "confined": """{
      const int tcp = socket(AF_INET, SOCK_STREAM, 0), why = errno;
      const int file = open("/usr/kopt-was-here", O_CREAT | O_WRONLY, 0600);
      printf("socket %d %d file %d\\n", tcp, why, file); fflush(stdout);
    }""",
    "endless": "volatile bool on = true; while (on) {}",
    "bomb": "for (;;) memset(mmap(0, 64 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1, 64 << 20);",
    "leaves": "_exit(0);",
    "stack exhausted": "out[0] = deep(400);",
}
THREADS = {
    "race": """float s = 0;
#pragma omp parallel for
      for (int64_t i = 0; i < n; ++i) s += in[i];  // HERE
      out[0] = s;""",
    "no barrier": """
#pragma omp parallel
      {
#pragma omp for nowait
        for (int64_t i = 0; i < n; ++i) shared[i] = in[i];
#pragma omp for
        for (int64_t i = 0; i < n; ++i) out[i] = shared[n - 1 - i];  // HERE
      }""",
    "std::thread": """auto add = [=] { for (int i = 0; i < 100; ++i) out[0] += in[i]; };  // HERE
      std::thread a(add), b(add); a.join(); b.join();""",
}
HONEST_THREADS = {
    "static": """
#pragma omp parallel for
      for (int64_t i = 0; i < n; ++i) out[i] = 2 * in[i];""",
    "dynamic, downwards": """
#pragma omp parallel for schedule(dynamic, 7)
      for (int64_t i = n - 1; i >= 0; --i) out[i] = 2 * in[i];""",
    "unsigned, guided": """
#pragma omp parallel for schedule(guided)
      for (size_t i = 0; i < size_t(n); ++i) out[i] = 2 * in[i];""",
    "barrier": """
#pragma omp parallel
      {
#pragma omp for
        for (int64_t i = 0; i < n; ++i) shared[n - 1 - i] = 2 * in[n - 1 - i];
#pragma omp for schedule(dynamic)
        for (int64_t i = 0; i < n; ++i) out[i] = shared[i];
      }""",
    "reduction, atomic, critical": """double s = 0; long count = 0, seen = 0;
#pragma omp parallel for reduction(+ : s)
      for (int64_t i = 0; i < n; ++i) {
        s += in[i];
#pragma omp atomic
        ++count;
#pragma omp critical(named)
        ++seen;
      }
      for (int64_t i = 0; i < n; ++i) out[i] = count == n && seen == n && s != 0 ? 2 * in[i] : 0;""",
    "single, sections, tasks": """float k = 0;
#pragma omp parallel
      {
        float mine;
#pragma omp single copyprivate(mine)
        mine = k = 2;
#pragma omp sections
        {
#pragma omp section
          for (int64_t i = 0; i < n / 2; ++i) out[i] = mine * in[i];
#pragma omp section
          for (int64_t i = n / 2; i < n; ++i) shared[i] = k;
        }
#pragma omp single
        for (int64_t i = n / 2; i < n; ++i)
#pragma omp task firstprivate(i)
          out[i] = shared[i] * in[i];
      }""",
    "scratch by thread": """static std::vector<std::vector<float>> all;
      all.resize(omp_get_max_threads());
#pragma omp parallel
      {
        auto& own = all[omp_get_thread_num()];
        own.assign(n, 2.0f);
        const int64_t t = omp_get_thread_num(), of = omp_get_num_threads();
        for (int64_t i = n * t / of; i < n * (t + 1) / of; ++i) out[i] = own[i] * in[i];
      }""",
    "std::thread, flags": """std::atomic<int> ready{0};
      std::thread first([&] { for (int64_t i = 0; i < n; ++i) shared[i] = 2 * in[i]; ready.store(1); });
      while (!ready.load()) std::this_thread::yield();
      for (int64_t i = 0; i < n; ++i) out[i] = shared[i];
      first.join();""",
    "once": """static std::once_flag flag; static std::shared_ptr<float> k;
      std::call_once(flag, [] { k = std::make_shared<float>(2.0f); });
      std::vector<std::thread> pool;
      for (int t = 0; t < 3; ++t)
        pool.emplace_back([=] { for (int64_t i = n * t / 3; i < n * (t + 1) / 3; ++i) out[i] = *k * in[i]; });
      for (auto& thread : pool) thread.join();""",
}
CASES = {**MEMORY, **THREADS, **HONEST_THREADS}


def source() -> str:
    cases = "\n".join(
        f"    case {number}: {{\n      {body}\n    }} break;" for number, body in enumerate(CASES.values())
    )
    return f"""{HEAD}
static float shared[{N}];
[[gnu::noinline]] static int deep(int left) {{
  volatile char room[1 << 20];
  room[left] = left;
  return left ? deep(left - 1) + room[left] : 0;
}}
void kernel(tvm::ffi::TensorView x, tvm::ffi::TensorView y) {{
  const float* in = static_cast<const float*>(x.data_ptr());
  float* out = static_cast<float*>(y.data_ptr());
  const int64_t n = x.numel();
  volatile int one = 1;
  switch (static_cast<int>(in[0])) {{
{cases}
  }}
}}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(run, kernel);
"""


def line_of(name: str) -> int:
    """The line of the case's mark."""
    number = list(CASES).index(name)
    lines = source().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"    case {number}:"))
    return next(i for i in range(start, len(lines)) if "// HERE" in lines[i]) + 1


@pytest.fixture(scope="module")
def run(sandbox: Sandbox, home: Path) -> Callable[..., tuple[SanitizedRun, Fault | None, np.ndarray]]:
    """Run one case under one sanitizer: what it printed, the fault, the output."""
    from kopt.words import Language, Style

    candidate = Candidate(
        sources={"k.cpp": source()}, language=Language.CPP, entry="k.cpp::run", style=Style.DESTINATION
    )

    def one(name: str, sanitizer: str = "address", box: Sandbox = sandbox, **options: float):
        built = box.builder.build(candidate, sanitizer=sanitizer)
        assert built.ok and built.artifact, built.log
        with ExitStack() as keep:
            buffer = keep.enter_context(SharedBuffer(8192))
            x, y = buffer.array.view(np.float32).reshape(2, 1024)[:, :N]
            x[:] = 1 + np.arange(N) % 7
            x[0], y[:] = list(CASES).index(name), -1
            place = {"dtype": "float32", "shape": [N], "strides": [1], "nbytes": 4 * N, "file": 0}
            tensors = [
                {**place, "name": "x", "role": "input", "offset": 0},
                {**place, "name": "y", "role": "output", "offset": 4096},
            ]
            options = {"seconds": 20.0, **options}
            done = sanitized.run(box, built.artifact, tensors, [buffer.fd], shared_bytes=8192, **options)
            return done, sanitizer_report.find(done.text, candidate.sources), y.copy()

    return one


@pytest.mark.parametrize(
    ("name", "expected", "words"),
    [
        ("write past the end", "out-of-bounds write", "4 bytes, 0 bytes after the end of y (4000 bytes)"),
        ("read before the start", "out-of-bounds read", "8 bytes before the start of x"),
        ("use after free", "use-after-free read", "4 bytes inside of a freed block of 32 bytes"),
        ("heap", "out-of-bounds read", "0 bytes after the end of an allocated block of 40 bytes"),
        ("stack", "out-of-bounds read", "the variable t"),
        ("overflow", "undefined behaviour", "signed integer overflow: 2147483647 + 1"),
        ("index", "undefined behaviour", "index 10 out of bounds"),
        ("null", "crash", "invalid address"),
    ],
)
def test_memory_faults_are_found_at_their_line(run, name, expected, words):
    done, fault, _ = run(name)
    assert fault is not None, done
    assert (fault.kind, fault.file, fault.line) == (expected, "k.cpp", line_of(name)), done.text
    assert words in fault.text and "\n" not in str(fault)
    assert fault.fatal == (name == "null")


def test_stores_no_sanitizer_sees_leave_a_mark(run):
    _, fault, _ = run("unseen store")
    assert fault.kind == "out-of-bounds write" and "4 bytes after the end of y" in fault.text


def test_fresh_memory_shows_in_the_output(run):
    assert np.isnan(run("fresh memory")[2][0]) and run("fresh memory", fill=0)[2][0] == 0


def test_an_honest_kernel_is_clean_and_its_output_comes_back(run):
    done, fault, y = run("honest")
    assert fault is None and not done.stopped and sanitizer_report.reached_its_end(done.text) == ""
    assert y[5] == 2 * 6


@pytest.mark.needs("tsan")
@pytest.mark.parametrize("name", THREADS)
def test_races_are_found_at_their_line(run, name):
    done, fault, _ = run(name, "thread")
    assert fault is not None, done
    assert fault.kind == "data race" and fault.file == "k.cpp"
    near = {fault.line, *(int(word) for word in fault.text.replace(",", " ").split() if word.isdigit())}
    assert any(abs(line - line_of(name)) <= 2 for line in near), fault


@pytest.mark.needs("tsan")
@pytest.mark.parametrize("name", HONEST_THREADS)
def test_honest_threads_are_clean(run, name):
    for sanitizer in ("thread", "address"):
        done, fault, y = run(name, sanitizer)
        assert fault is None and not done.stopped, done
        assert sanitizer_report.reached_its_end(done.text) == "", done
        np.testing.assert_array_equal(y[1:], 2 * (1 + np.arange(N) % 7)[1:])


def test_the_program_is_as_confined_as_any_candidate(run):
    done, fault, _ = run("confined")
    assert "socket -1 1 file -1" in done.text and fault is None


def test_what_has_no_end_is_ended(run):
    done, fault, _ = run("endless", seconds=1.0)
    assert "longer than 1 s" in done.stopped and fault is None


def test_memory_is_watched_where_address_space_cannot_be(run, kind, home):
    with open_sandbox(kind, settings=Settings(home=home, memory_bytes=512 << 20)) as small:
        done, fault, _ = run("bomb", box=small)
        assert "memory" in done.stopped or "KILL" in done.stopped, done
        assert fault is None
        assert small.spawn("candidate").request("ping") == {}


@pytest.mark.parametrize(
    ("name", "words"), [("leaves", "ended early"), ("stack exhausted", "stack-overflow")]
)
def test_what_did_not_come_to_its_end_is_not_called_clean(run, name, words):
    done, fault, _ = run(name)
    assert fault is None
    assert words in sanitizer_report.reached_its_end(done.text), done


def test_symbols_the_stand_in_lacks_fail_the_build(sandbox, cpp):
    text = cpp().sources["k.cpp"].replace("for (", "\n#pragma omp taskloop\nfor (", 1)
    assert sandbox.builder.build(cpp(text)).ok
    built = sandbox.builder.build(cpp(text), sanitizer="thread")
    assert not built.ok and "GOMP_taskloop" in built.first_error


def test_a_sanitized_build_is_another_build(sandbox, cpp):
    digests = {sandbox.builder.digest(cpp(), None, name) for name in (None, "address", "thread")}
    assert len(digests) == 3
    assert sandbox.builder.digest(replace(cpp(), flags=("-O2",)), None, "address") not in digests


def test_a_compiler_without_runtimes_is_known(tmp_path, monkeypatch):
    fake = tmp_path / "g++"
    fake.write_text('#!/bin/sh\ncase "$1" in --version) echo "g++ 12" ;; *) echo "${1#*=}" ;; esac\n')
    fake.chmod(0o755)
    known = (compilers.sanitizer_runtime, compilers.compiler_name, compilers.tool_version)
    for function in known:
        function.cache_clear()
    try:
        assert compilers.sanitizer_runtime("address")
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        for function in known:
            function.cache_clear()
        assert not compilers.sanitizer_runtime("address") and not compilers.sanitizer_runtime("thread")
    finally:
        monkeypatch.undo()
        for function in known:
            function.cache_clear()
