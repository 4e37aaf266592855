"""The host's compilers: which there is, and what version it calls itself."""

from __future__ import annotations

import functools
import shutil
import subprocess

from kopt.sandbox.backend import Toolchain


@functools.cache
def tool_version(command: str, flag: str = "--version") -> str:
    """The line of a tool's version text that names the version, empty where there is no such tool."""
    path = shutil.which(command)
    if path is None:
        return ""
    try:
        done = subprocess.run([path, flag], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout.strip().splitlines()
    named = [line for line in lines if "release" in line]
    return (named or lines or [""])[0].strip()


@functools.cache
def compiler_name() -> str | None:
    """The C++ compiler builds use."""
    return next((name for name in ("g++", "c++", "clang++") if shutil.which(name)), None)


@functools.cache
def sanitizer_runtime(sanitizer: str) -> bool:
    """Whether the compiler has what programs under ``address`` or ``thread`` link against."""
    name = compiler_name()
    if name is None or "clang" in tool_version(name):
        return False  # its sanitizers come without the OpenMP this is written for
    wanted = ("libasan.so", "libubsan.so") if sanitizer == "address" else ("libtsan.so",)
    return all(tool_version(name, f"-print-file-name={library}").startswith("/") for library in wanted)


def host_toolchain() -> Toolchain:
    """This machine's own compiler."""
    name = compiler_name()
    return Toolchain(name, tool_version(name) if name else "")
