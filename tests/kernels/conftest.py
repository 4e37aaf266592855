"""A library that holds one C++ kernel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tvm_ffi.libinfo

from kopt.kernels.library import admit

sys.path.append(str(Path(__file__).parent))  # the cases of this folder are imported by name

from kernel_cases import CPP, MODEL, certificate, tensor


@pytest.fixture(scope="module")
def artifact(tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("build")
    (folder / "k.cpp").write_text(CPP)
    include = tvm_ffi.libinfo.find_include_path()
    subprocess.run(
        ["g++", "-O1", "-shared", "-fPIC", "-std=c++17", f"-I{include}",
         f"-I{tvm_ffi.libinfo.find_dlpack_include_path()}", "k.cpp", "-o", "k.so"],
        cwd=folder, check=True,
    )  # fmt: skip
    return (folder / "k.so").read_bytes()


@pytest.fixture
def native(artifact, tmp_path):
    """Admit the C++ kernel above; returns the library."""

    def make(**options) -> Path:
        candidate = {"language": "cpp", "style": "destination", "entry": "k.cpp::run"}
        files = {"candidate/k.cpp": CPP.encode(), "reference/p.py": MODEL, "artifact.so": artifact}
        admit("k", certificate(candidate, state=[tensor("scale", 1)], **options), files, tmp_path)
        return tmp_path

    return make
