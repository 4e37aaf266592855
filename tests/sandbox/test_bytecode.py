"""What runs inside sandboxes is compiled outside, once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from kopt.sandbox import bytecode, places


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the part that runs inside, never compiled."""
    for folder in ("sandbox/runner", "words"):
        shutil.copytree(
            places.package_directory() / folder,
            tmp_path / folder,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    monkeypatch.setattr(places, "package_directory", lambda: tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return tmp_path


def compiled(path: Path) -> Path:
    return Path(cache_from_source(str(path)))


def test_what_is_compiled_is_taken_by_an_interpreter_that_writes_nothing(package):
    bytecode.prepare()
    wire = package / "sandbox" / "runner" / "wire.py"
    command = [sys.executable, "-v", "-B", "-c", "import runner.wire"]
    said = subprocess.run(command, cwd=package / "sandbox", capture_output=True, text=True, check=True).stderr
    assert f"matches {wire}" in said


def test_only_what_has_changed_is_compiled_again(package):
    bytecode.prepare()
    first, other = (package / "words" / name for name in ("kernel.py", "candidate.py"))
    first = first if first.exists() else package / "words" / "__init__.py"
    before = {path: compiled(path).stat().st_mtime_ns for path in (first, other)}
    first.write_text(first.read_text() + "\n# changed\n")
    bytecode.prepare()
    assert compiled(first).stat().st_mtime_ns > before[first]
    assert compiled(other).stat().st_mtime_ns == before[other]


def test_a_folder_that_cannot_be_written_is_left_alone(package):
    shutil.rmtree(package / "words")
    (package / "sandbox" / "runner" / "__pycache__").write_text("in the way")
    bytecode.prepare()
    assert not compiled(package / "sandbox" / "runner" / "wire.py").exists()


def test_who_wants_no_compiled_files_gets_none(package, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    bytecode.prepare()
    assert not list(package.rglob("__pycache__"))
