"""A neighbour: a process that keeps one core busy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LOOP = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True:\n    pass\n"


@contextmanager
def busy(on: bool = True) -> Iterator[None]:
    """Keep the last core busy meanwhile; the first is where a runner's main thread stays."""
    if not on:
        yield
        return
    core = max(os.sched_getaffinity(0))
    neighbour = subprocess.Popen([sys.executable, "-c", _LOOP, str(core)])
    try:
        yield
    finally:
        neighbour.kill()
        neighbour.wait()
