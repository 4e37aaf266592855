"""What every result carries: the environment, the command, and one way to write it down."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent


def _cpu() -> dict[str, str]:
    fields = {}
    for line in subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout.splitlines():
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    keep = ["Model name", "CPU(s)", "L1d cache", "L2 cache", "L3 cache", "Hypervisor vendor"]
    return {name: fields[name] for name in keep if name in fields}


def _commit() -> str:
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run(
        [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    )
    dirty = subprocess.run(
        [*git, "status", "--porcelain", "--", "kopt", "bench/problems"], capture_output=True, text=True
    )
    return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")


def environment() -> dict[str, Any]:
    """The machine, the versions and the commit a figure belongs to. No host name, no path."""
    compiler = subprocess.run(
        ["g++", "--version"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "compiler": compiler[0] if compiler else None,
        "packages": {name: version(name) for name in ("kopt", "torch", "numpy", "apache-tvm-ffi", "optuna")},
        "load_before": os.getloadavg()[0],
    }


def write(name: str, result: dict[str, Any], command: list[str] | None = None) -> Path:
    """Write ``results/<name>.json``: environment, command, result."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    shown = command or ["python", "-m", "bench", *sys.argv[1:]]
    path.write_text(
        json.dumps({"environment": environment(), "command": " ".join(shown), **result}, indent=1) + "\n"
    )
    return path
