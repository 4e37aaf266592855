"""What is left of runners: only what stays, not what is being reaped."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from kopt.sandbox.remains import processes_left


def children() -> set[int]:
    return set(map(int, Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()))


def test_a_runner_that_waits_to_be_reaped_is_not_left() -> None:
    others = children()
    ended = os.posix_spawn("/bin/true", ["true"], {})
    reaper = threading.Timer(0.3, os.waitpid, (ended, 0))
    reaper.start()
    begun = time.monotonic()
    assert processes_left(os.getpid(), others) == []
    assert time.monotonic() - begun < 4
    reaper.join()


def test_a_process_that_lives_is_left() -> None:
    others = children()
    stray = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
    try:
        assert processes_left(os.getpid(), others) == [f"process {stray}"]
    finally:
        os.kill(stray, signal.SIGKILL)
        os.waitpid(stray, 0)
