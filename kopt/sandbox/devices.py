"""What this machine has: processor, compilers, and whether each toolchain works (`kopt doctor`)."""

from __future__ import annotations

import functools
import os
import platform
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

_INTERESTING = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512bw",
    "avx512_bf16",
    "avx512_vnni",
    "amx_bf16",
    "neon",
    "asimd",
    "sve",
)


@functools.cache
def cpu_facts() -> dict[str, Any]:
    """Model, usable cores, caches in bytes by level, and vector instruction sets."""
    fields: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    caches: dict[str, int] = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind = (index / "level").read_text().strip(), (index / "type").read_text().strip()
            text = (index / "size").read_text().strip()
        except OSError:
            continue
        if kind != "Instruction":
            caches[f"L{level}"] = int(text.rstrip("KMG")) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(
                text[-1], 1
            )
    return {
        "model": fields.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "caches": caches,
        "isa": [name for name in _INTERESTING if name in flags],
    }


@dataclass(frozen=True)
class Finding:
    """One thing this machine has or lacks, and what its absence costs."""

    name: str
    ok: bool
    detail: str
    cost_of_missing: str = ""


def probe() -> list[Finding]:
    """Try every layer and toolchain, quickly (about a second, no torch import)."""
    from kopt.sandbox import seccomp
    from kopt.sandbox.cgroups import ControlGroups
    from kopt.sandbox.compilers import compiler_name, tool_version
    from kopt.sandbox.places import cuda_root
    from kopt.sandbox.runner import landlock
    from kopt.sandbox.status import backends

    states = backends()
    cpu = cpu_facts()
    caches = ", ".join(f"{level} {size >> 10} KiB" for level, size in cpu["caches"].items())
    found = [Finding("cpu", True, f"{cpu['model']}, {cpu['cores']} cores, {caches}, {' '.join(cpu['isa'])}")]
    for name, cost in (
        (
            "bubblewrap",
            "without docker either, no code is run, except with --sandbox none, which protects nothing",
        ),
        ("docker", "bubblewrap is the only isolation: nothing else is lost"),
    ):
        state = states[name]
        found.append(Finding(name, bool(state["usable"]), str(state["detail"]), cost))
    program, why = seccomp.program()
    found.append(
        Finding(
            "seccomp", bool(program), why or f"filter of {len(program)} bytes", "no system call is refused"
        )
    )
    abi = landlock.version()
    found.append(
        Finding(
            "landlock",
            bool(abi),
            f"ABI {abi}" if abi else "not in this kernel",
            "one layer less around files",
        )
    )
    groups = ControlGroups()
    active = dict(groups.active)
    groups.close()
    for name, cost in (
        ("memory", "memory bombs are held by address space limits only"),
        ("pids", "fork bombs are held by a per-user limit only, for root not at all"),
    ):
        found.append(
            Finding(f"{name} ceiling", name in active, active.get(name, "no writable control group"), cost)
        )
    compiler = compiler_name()
    version = tool_version(compiler) if compiler else ""
    found.append(Finding("C++ compiler", bool(version), version or "none", "no cpp candidates: install g++"))
    found.append(
        Finding("ninja", shutil.which("ninja") is not None, tool_version("ninja"), "load_inline cannot build")
    )
    cuda = cuda_root()
    nvcc = tool_version(str(cuda / "bin" / "nvcc")) if cuda else ""
    found.append(Finding("nvcc", bool(nvcc), nvcc or "no CUDA toolkit", "cuda candidates cannot be compiled"))
    for package, cost in (
        ("torch", "nothing runs: pip install torch"),
        ("apache-tvm-ffi", "no cpp candidates: pip install apache-tvm-ffi"),
        ("triton", "triton candidates cannot be compiled or interpreted: pip install 'kopt[gpu]'"),
    ):
        found.append(_package(package, cost))
    gpus = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    found.append(
        Finding("GPU", bool(gpus), ", ".join(gpus) or "none", "cuda and triton candidates are never timed")
    )
    return found


def _package(name: str, cost: str) -> Finding:
    try:
        return Finding(name, True, metadata.version(name), cost)
    except metadata.PackageNotFoundError:
        return Finding(name, False, "not installed", cost)
