"""Looking at and stopping the processes of one runner, from the host."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable


def descendants(pid: int) -> list[int]:
    """``pid`` and everything below it.

    A runner is pid 1 of its namespace: whatever it starts, however often it forks away, stays below it.
    """
    found, queue = [pid], [pid]
    while queue:
        parent = queue.pop()
        try:
            tasks = os.listdir(f"/proc/{parent}/task")  # noqa: PTH208 - on the path of every freeze
        except OSError:
            continue
        for task in tasks:
            with contextlib.suppress(OSError), open(f"/proc/{parent}/task/{task}/children") as file:  # noqa: PTH123
                for child in map(int, file.read().split()):
                    found.append(child)
                    queue.append(child)
    return found


def states(pid: int) -> set[str]:
    """The states of a process's threads: ``T`` stopped, ``Z`` gone, others run or sleep."""
    result = set()
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/stat", "rb") as file:  # noqa: PTH123
                result.add(file.read().rpartition(b")")[2].split()[0].decode())
    return result


def freeze(pid: int, timeout: float = 5.0) -> list[int]:
    """Stop a runner and everything below it; all of them, once every thread is seen stopped, else nothing."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        family = descendants(pid)
        for member in family:
            with contextlib.suppress(OSError):
                os.kill(member, signal.SIGSTOP)
        if all(states(member) <= {"T", "Z", "X"} for member in family) and descendants(pid) == family:
            return family
        time.sleep(0.00005)
    return []


def thaw(family: Iterable[int]) -> None:
    """Continue what :func:`freeze` stopped; nothing can have been started meanwhile."""
    for member in family:
        with contextlib.suppress(OSError):
            os.kill(member, signal.SIGCONT)


def wait_gone(pidfd: int, timeout: float) -> bool:
    """Wait for a process to end, by its pidfd."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(max(0, timeout) * 1000))


def thread_seconds(pid: int) -> dict[int, float]:
    """Seconds each thread of a process has run on a processor, by the kernel's account; empty where it keeps none."""
    result: dict[int, float] = {}
    try:
        tasks = [int(task) for task in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208
    except OSError:
        return result
    for task in tasks:
        path = f"/proc/{pid}/task/{task}/schedstat"
        with contextlib.suppress(OSError, ValueError, IndexError), open(path) as file:  # noqa: PTH123
            result[task] = int(file.read().split()[0]) * 1e-9
    return result


def end_launched(launcher: subprocess.Popen[bytes]) -> None:
    """Kill all that is below a launcher such as bubblewrap; returns when it and they are gone.

    One that has ended is left alone: its number may be another's by now.
    """
    if launcher.poll() is not None:
        return
    # The launcher stays to reap: killed first, it would leave the dead to whoever adopts them.
    for pid in descendants(launcher.pid)[1:]:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    try:
        launcher.wait(timeout=5)
    except subprocess.TimeoutExpired:
        launcher.kill()
        launcher.wait()
