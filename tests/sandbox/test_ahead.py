"""What is begun as soon as a sandbox is open: the first candidate's build, and a runner that imports a compiler."""

from __future__ import annotations

import time

from kopt.errors import SandboxUnavailable
from kopt.sandbox import Role, open_sandbox
from kopt.settings import Settings
from kopt.words import Candidate, Language, Style
from tests.docker_daemon import ONE_BACKEND
from tests.sandbox.test_reference import PROBLEM

LOADED = {"format": "model", "sources": {"p.py": PROBLEM}, "entry": "p.py"}


def python(language: Language) -> Candidate:
    return Candidate(
        sources={"c.py": "def run(x): return x"}, language=language, entry="c.py::run", style=Style.RETURNING
    )


@ONE_BACKEND
def test_an_open_sandbox_is_taken_as_it_is(sandbox):
    assert open_sandbox(sandbox) is sandbox


@ONE_BACKEND
def test_the_build_is_found_and_the_runner_compiles(kind, tmp_path, cpp):
    candidate = cpp("// nobody has built this\n" + cpp().sources["k.cpp"])
    with open_sandbox(kind, settings=Settings(home=tmp_path)) as opened:
        opened.expect(candidate)
        opened.expect(cpp("int other;"))  # one is enough
        pending = opened.compiler()
        assert pending is not None and opened.compiler() is None
        with pending.result() as runner:
            assert runner.role is Role.REFERENCE
            runner.request("load_problem", LOADED, timeout=30.0)
            runner.request("select", {"workload": 0, "seed": 3}, timeout=30.0)
            began = time.monotonic()
            runner.request(
                "use", {"implementation": "compile"}, timeout=30.0
            )  # nothing to call: imports only
            assert time.monotonic() - began < 1.0
        for _ in range(100):
            if opened.builder.build(candidate).cached:
                break
            time.sleep(0.1)
        assert opened.builder.build(candidate).cached


def test_what_is_not_timed_needs_no_compiler(tmp_path):
    with open_sandbox("bubblewrap", settings=Settings(home=tmp_path)) as opened:
        opened.expect(python(Language.TRITON))
        assert opened.compiler() is None


def test_a_sandbox_closes_while_it_works_ahead(tmp_path, cpp):
    opened = open_sandbox("bubblewrap", settings=Settings(home=tmp_path))
    opened.expect(cpp())
    pending = opened.compiler()
    began = time.monotonic()
    opened.close()
    assert time.monotonic() - began < 5.0
    assert pending is not None and pending.done()
    assert pending.cancelled() or isinstance(pending.exception(), (SandboxUnavailable, OSError))
    opened.expect(cpp("int late;"))
    assert opened.compiler() is None
