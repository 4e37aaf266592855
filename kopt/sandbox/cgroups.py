"""Control groups, version 1 or 2, where this process may make them: memory and process ceilings that hold.

rlimits count address space and, for root, no processes at all; control groups count what is really used.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def _own(controller: str) -> str:
    """This process's group in a hierarchy (``""`` is version 2)."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            if (not names and not controller) or controller in names.split(","):
                return path
    return "/"


def _candidates(base: Path, own: str) -> list[Path]:
    """Places to make a group in: beside and above our own group, nearest first."""
    places: list[Path] = []
    path = Path(own.lstrip("/"))
    while True:
        places.append(base / path)
        if path == Path():
            return places
        path = path.parent


def _sweep(place: Path) -> None:
    """Remove empty groups of processes that were killed before they could."""
    for left in place.glob("kopt-*-*"):
        pid = left.name.split("-")[1]
        if pid.isdigit() and not Path("/proc", pid).exists():
            for directory in (*left.glob("*/"), left):
                with contextlib.suppress(OSError):
                    directory.rmdir()


@dataclass
class Group:
    """One runner's group: a directory per hierarchy."""

    directories: list[Path] = field(default_factory=list)

    def add(self, pid: int) -> None:
        """Move a process in."""
        for directory in self.directories:
            (directory / "cgroup.procs").write_text(str(pid))

    def out_of_memory(self) -> bool:
        """Whether the kernel killed something in here for memory."""
        for directory in self.directories:
            for name in ("memory.events", "memory.oom_control"):
                with contextlib.suppress(OSError):
                    for line in (directory / name).read_text().splitlines():
                        if line.startswith("oom_kill ") and int(line.split()[1]):
                            return True
        return False

    def close(self) -> None:
        """Remove the group; its processes are gone or going."""
        for directory in self.directories:
            for _ in range(2500):  # hundreds of processes take their time to be gone
                try:
                    directory.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.002)
        self.directories = []


class ControlGroups:
    """Makes groups under one parent per sandbox. ``active`` names the ceilings that hold here."""

    def __init__(self) -> None:
        self.active: dict[str, str] = {}
        self._parents: dict[str, Path] = {}
        name = f"kopt-{os.getpid()}-{secrets.token_hex(3)}"
        for hierarchy in ("memory", "pids", ""):
            for place in _candidates(ROOT / hierarchy, _own(hierarchy)):
                _sweep(place)
        if (ROOT / "cgroup.controllers").exists():
            self._open_v2(name)
        else:
            for controller in ("memory", "pids"):
                self._open_v1(controller, name)

    def _open_v1(self, controller: str, name: str) -> None:
        base = ROOT / controller
        if not base.is_dir():
            return
        for place in _candidates(base, _own(controller)):
            directory = place / name
            try:
                directory.mkdir()
            except OSError:
                continue
            self._parents[controller] = directory
            self.active[controller] = "cgroup v1"
            return

    def _open_v2(self, name: str) -> None:
        for place in _candidates(ROOT, _own("")):
            directory = place / name
            try:
                directory.mkdir()
            except OSError:
                continue
            try:
                (directory / "cgroup.subtree_control").write_text("+memory +pids")
            except OSError:
                with contextlib.suppress(OSError):
                    directory.rmdir()
                continue
            self._parents["unified"] = directory
            self.active = {"memory": "cgroup v2", "pids": "cgroup v2"}
            return

    def make(self, *, memory_bytes: int, processes: int) -> Group:
        """A group with ceilings, as far as this machine allows."""
        group = Group()
        name = secrets.token_hex(4)
        values = {
            "memory.limit_in_bytes": memory_bytes,
            "memory.memsw.limit_in_bytes": memory_bytes,
            "memory.max": memory_bytes,
            "memory.swap.max": 0,
            "memory.oom.group": 1,
            "pids.max": processes,
        }
        for parent in self._parents.values():
            directory = parent / name
            try:
                directory.mkdir()
            except OSError:
                continue
            group.directories.append(directory)
            for file, value in values.items():
                path = directory / file
                if path.exists():
                    with contextlib.suppress(OSError):
                        path.write_text(str(value))
        return group

    def count(self) -> int:
        """How many groups there are now, as the kernel counts them."""
        return max(
            (sum(d.is_dir() for d in parent.iterdir()) for parent in self._parents.values()), default=0
        )

    def close(self) -> None:
        """Remove the parents."""
        Group(list(self._parents.values())).close()
        self._parents = {}
