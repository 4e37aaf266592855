"""What is left of runners: only what stays, not what is being reaped."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kopt.sandbox.remains import processes_left


@contextmanager
def parent(child: str, then: str) -> Iterator[tuple[int, int]]:
    """A process with one child, and both their ids."""
    text = f"import os, time\npid = os.posix_spawn({child.split()[0]!r}, {child.split()!r}, {{}})\n"
    text += f"print(pid, flush=True)\n{then}\n"
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()


def test_a_runner_that_waits_to_be_reaped_is_not_left() -> None:
    with parent("/bin/true", "time.sleep(0.5)\nos.waitpid(pid, 0)\ntime.sleep(60)") as (zygote, _):
        begun = time.monotonic()
        assert processes_left(zygote, ()) == []
        assert time.monotonic() - begun < 4


def test_a_process_that_lives_is_left() -> None:
    with parent("/bin/sleep 20", "time.sleep(60)") as (zygote, stray):
        assert processes_left(zygote, ()) == [f"process {stray}"]
        assert processes_left(zygote, {stray}) == []
