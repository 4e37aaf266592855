"""Candidates from files: what is recognised, and one line for what is not."""

from __future__ import annotations

import json

import pytest

from kopt.errors import UsageError
from kopt.rl.candidate_file import read_candidate
from kopt.verifiers import Failure
from kopt.verifiers.static import check
from kopt.words import Language, Style, Verdict, to_json

CPP = "void f() {}\nTVM_FFI_DLL_EXPORT_TYPED_FUNC(my_run, f);\n"
TRITON = "import triton\n@triton.jit\ndef k(): pass\ndef run(x): return x"


@pytest.mark.parametrize(
    ("name", "text", "language", "entry", "style"),
    [
        ("k.cpp", CPP, Language.CPP, "k.cpp::my_run", Style.DESTINATION),
        ("k.cu", CPP, Language.CUDA, "k.cu::my_run", Style.DESTINATION),
        ("k.py", "class ModelNew: pass\ndef run(): pass", Language.TORCH, "k.py::ModelNew", Style.RETURNING),
        ("k.py", "def run(x): return x", Language.TORCH, "k.py::run", Style.RETURNING),
        ("k.py", "def run_into(x, y): y.copy_(x)", Language.TORCH, "k.py::run_into", Style.DESTINATION),
        ("k.py", TRITON, Language.TRITON, "k.py::run", Style.RETURNING),
    ],
)
def test_files(tmp_path, name, text, language, entry, style):
    (tmp_path / name).write_text(text)
    found = read_candidate(tmp_path / name)
    assert (found.language, found.entry, found.style) == (language, entry, style)
    assert found.sources == {name: text}
    (tmp_path / "own.json").write_text(json.dumps(to_json(found)))
    assert read_candidate(tmp_path / "own.json") == found


def test_flashinfer_bench_solutions(tmp_path):
    solution = {
        "name": "fast_one", "definition": "toy", "author": "someone",
        "spec": {"language": "cpp", "target_hardware": ["cpu"], "entry_point": "k.cpp::run"},
        "sources": [{"path": "k.cpp", "content": CPP}],
    }  # fmt: skip
    (tmp_path / "s.json").write_text(json.dumps(solution))
    found = read_candidate(tmp_path / "s.json")
    assert found.language is Language.CPP and found.style is Style.DESTINATION and found.proposer == "someone"
    solution["spec"]["destination_passing_style"] = False
    (tmp_path / "s.json").write_text(json.dumps(solution))
    assert read_candidate(tmp_path / "s.json").style is Style.RETURNING


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("k.py", b"\xff\xfe"),
        ("k.txt", b"hello"),
        ("k.json", b"{"),
        ("k.json", b"[1]"),
        ("k.json", b'{"spec": {}}'),
        ("k.json", b'{"spec": {"language": "cobol", "entry_point": "x"}, "sources": []}'),
        ("k.json", b'{"sources": {}}'),
        ("k.json", b"[" * 100_000),
    ],
)
def test_unusable_files_are_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_candidate(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("k.cpp", "int main() {}"),
        ("k.py", "def forward(x): pass"),
        ("k.py", "def run(x) return x"),
        ("k.py", "\0"),
    ],
)
def test_what_can_be_read_but_not_used_is_for_the_judge_to_reject(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(Failure) as caught:
        check(read_candidate(tmp_path / name))
    assert caught.value.verdict is Verdict.REJECTED and "\n" not in caught.value.reason


def test_missing_folder_and_huge(tmp_path):
    for path in (tmp_path, tmp_path / "none.cpp"):
        with pytest.raises(UsageError, match="give"):
            read_candidate(path)
    with (tmp_path / "huge.cpp").open("wb") as file:
        file.truncate(100 << 20)
    with pytest.raises(UsageError, match="larger than"):
        read_candidate(tmp_path / "huge.cpp")
