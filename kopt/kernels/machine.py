"""Facts a certificate is bound to: the processor and the versions that a kernel was verified with."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def facts() -> Mapping[str, Any]:
    """This machine, as certificates record it. ``flags`` are the processor's instruction set extensions."""
    model, flags = platform.processor(), ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "CPU part"):
                model = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags = value.strip()
            if flags and not line.strip():
                break
    except OSError:
        pass
    return {
        "arch": platform.machine(),
        "system": platform.system(),
        "cpu": model,
        "flags": " ".join(sorted(flags.split())),
        "torch": _version("torch"),
        "tvm_ffi": _version("apache-tvm-ffi"),
    }


def difference(certified: Mapping[str, Any], here: Mapping[str, Any]) -> str | None:
    """Say in words where this machine is not the one a certificate was made on, or None."""
    for key, what in (("system", "system"), ("arch", "architecture"), ("cpu", "processor")):
        if certified.get(key) != here.get(key):
            return f"verified on the {what} {certified.get(key)!r}, this is {here.get(key)!r}"
    missing = set(str(certified.get("flags", "")).split()) - set(str(here.get("flags", "")).split())
    if missing:
        return f"verified with processor features this machine lacks: {' '.join(sorted(missing)[:5])}"
    for key in ("torch", "tvm_ffi"):
        if certified.get(key) != here.get(key):
            return f"verified with {key} {certified.get(key)}, this is {here.get(key)}"
    return None
