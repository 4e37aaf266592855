"""The library on disk: names, atomic admission, replacement, tampering."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kopt.errors import UsageError
from kopt.kernels import KernelNotFound, TamperedKernel, load
from kopt.kernels.library import admit, check_name, entries, find, kernel_name, library_directory, remove

FILES = {"candidate/k.py": b"def run(x): return x\n", "reference/p.py": b"x = 1\n"}
CERTIFICATE = {"schema": "kopt/certificate/1", "who": "test"}


def test_admit_find_replace_remove(tmp_path):
    first = admit("relu", CERTIFICATE, FILES, tmp_path)
    assert first.read("candidate/k.py") == FILES["candidate/k.py"] and first.changed() == []
    second = admit("relu", {**CERTIFICATE, "who": "another"}, FILES, tmp_path)
    assert find("relu", tmp_path).certificate["who"] == "another"
    assert not first.path.exists() and second.path.exists()
    assert admit("relu", {**CERTIFICATE, "who": "another"}, FILES, tmp_path).path == second.path
    assert [e.name for e in entries(tmp_path)] == ["relu"]
    assert find(tmp_path / "relu").certificate == second.certificate
    remove("relu", tmp_path)
    assert entries(tmp_path) == [] and list((tmp_path / ".kernels").iterdir()) == []
    with pytest.raises(KernelNotFound, match="library list"):
        remove("relu", tmp_path)


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "/etc", "A", "1a", ".kernels", "x" * 64, "a b", "a\n", "é"]
)
def test_names_that_could_leave_the_library_are_refused(tmp_path, name):
    with pytest.raises(UsageError):
        check_name(name)
    with pytest.raises(UsageError):
        admit(name, CERTIFICATE, FILES, tmp_path / "library")
    with pytest.raises(UsageError):
        remove(name, tmp_path)
    with pytest.raises((KernelNotFound, TamperedKernel)):
        find(name, tmp_path)
    assert not (tmp_path / "library" / ".kernels").exists() or not any(
        (tmp_path / "library" / ".kernels").iterdir()
    )


def test_any_text_becomes_a_legal_name():
    for text in ("RMS Norm", "23_Softmax.py", "../..", "", "ünï", "a" * 99):
        check_name(kernel_name(text))
    assert kernel_name("23_Softmax") == "kernel_23_softmax" and kernel_name("RMS-Norm") == "rms_norm"


@pytest.mark.parametrize("path", ["../evil", "/tmp/evil", "a/../../evil", ""])
def test_files_cannot_be_written_outside(tmp_path, path):
    with pytest.raises(UsageError):
        admit("k", CERTIFICATE, {path: b""}, tmp_path / "library")
    assert not (tmp_path / "evil").exists()
    assert entries(tmp_path / "library") == []


def test_changed_bytes_are_found(tmp_path):
    entry = admit("k", CERTIFICATE, FILES, tmp_path)
    (entry.path / "candidate/k.py").write_bytes(b"def run(x): return -x\n")
    assert find("k", tmp_path).changed() == ["candidate/k.py"]
    with pytest.raises(TamperedKernel, match="kopt optimize"):
        find("k", tmp_path).read("candidate/k.py")
    (entry.path / "candidate/k.py").unlink()
    (entry.path / "candidate/k.py").symlink_to("/etc/passwd")
    assert find("k", tmp_path).changed() == ["candidate/k.py"]
    text = json.loads((entry.path / "certificate.json").read_text())
    (entry.path / "certificate.json").write_text(json.dumps({**text, "who": "mallory"}))
    with pytest.raises(TamperedKernel, match="not the one that was admitted"):
        find("k", tmp_path)
    assert isinstance(entries(tmp_path)[0], TamperedKernel)


def test_missing_kernels_and_default_place(tmp_path, monkeypatch):
    monkeypatch.setenv("KOPT_HOME", str(tmp_path))
    assert library_directory() == tmp_path / "library"
    with pytest.raises(KernelNotFound, match="library list"):
        load("nothing")


def test_a_kill_leaves_the_old_or_the_new_kernel(tmp_path):
    program = (
        "import sys; from pathlib import Path; from kopt.kernels.library import admit\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1; admit('k', {'n': n}, {'candidate/k.py': b'x' * 100_000}, Path(sys.argv[1]))\n"
        "    print(n, flush=True)\n"
    )
    for delay in (0.02, 0.05, 0.11):
        child = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(delay)
        os.kill(child.pid, signal.SIGKILL)
        done = [1, *map(int, child.stdout.read().split())]
        child.wait()
        entry = find("k", tmp_path)
        assert entry.certificate["n"] in (done[-1], done[-1] + 1) and entry.changed() == []
    assert Path(tmp_path / "k").is_symlink()
