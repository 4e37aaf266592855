"""What a sandbox shows of this machine, and under which names: the same for every back end."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

# Names no environment lies under, wherever people keep theirs: /tmp and /opt are favourites.
RUNNER = "/.kopt/runner"
PACKAGE = "/.kopt/package"
HEADERS = "/.kopt/headers"
SCRATCH = "/.kopt/scratch"
SYSTEM = tuple(Path(name) for name in ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"))
SMALL = 64 << 20
"""Bytes of the zygote's own scratch and shared memory; every runner gets its own over them."""


def package_directory() -> Path:
    """Where kopt's own package lies, installed or editable."""
    return Path(__file__).resolve().parents[1]


def under(path: Path, roots: Iterable[Path]) -> bool:
    """Whether ``path`` is one of ``roots`` or lies below one."""
    return any(path == root or root in path.parents for root in roots)


def visible_roots(shown: Iterable[Path] = SYSTEM, without: Path = Path("/")) -> list[Path]:
    """The Python environment: prefixes, and where else the few packages lie that runners import.

    What lies under ``shown`` is left out: it is there already; so is ``without`` itself, not what is below it.
    """
    shown = list(shown)
    roots: list[Path] = []
    wanted = [Path(sys.base_prefix), Path(sys.prefix), Path(sys.base_exec_prefix), Path(sys.exec_prefix)]
    for name in ("torch", "numpy", "tvm_ffi", "triton", "sympy", "pydantic"):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin:
            wanted.append(Path(spec.origin).resolve().parents[1])
    wanted.append(Path(os.path.realpath(sys.executable)).parent.parent)
    for path in wanted:
        if (
            path.is_dir()
            and path not in (Path("/"), without)
            and not under(path, shown)
            and not under(path, roots)
        ):
            roots.append(path)
    return roots


def cuda_root() -> Path | None:
    """The CUDA toolkit's directory, following the wrapper scripts that put nvcc on the path."""
    for place in (
        os.environ.get("CUDA_HOME"),
        "/usr/local/cuda",
        *sorted(map(str, Path("/usr/local").glob("cuda-*"))),
    ):
        if place and Path(place, "bin", "nvcc").is_file():
            return Path(place)
    found = shutil.which("nvcc")
    return Path(found).resolve().parents[1] if found else None


def search_path() -> str:
    """The ``PATH`` runners get."""
    path = f"/usr/local/bin:/usr/bin:/bin:{sys.prefix}/bin"
    cuda = cuda_root()
    return path if cuda is None else f"{cuda}/bin:{path}"


def inside() -> dict[str, object]:
    """What a zygote behind mounts must know of its places."""
    return {
        "scratch": SCRATCH,
        "package": PACKAGE,
        "headers": HEADERS,
        "masked": [PACKAGE],
        "cuda": str(cuda_root() or ""),
    }
