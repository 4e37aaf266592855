"""Reaching the Docker daemon, and whose containers are left on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from kopt.errors import SandboxUnavailable

LABEL = "kopt.judge"
PREFIX = "kopt-docker-"


def connect() -> Any:
    """A client of the daemon that ``DOCKER_HOST`` or the usual socket leads to.

    Raises:
        SandboxUnavailable: docker-py is missing, no daemon answers, or it is on another machine.
    """
    try:
        import docker
        from docker.errors import DockerException
    except ImportError:
        raise SandboxUnavailable("docker-py is missing: pip install 'kopt[docker]'") from None
    try:
        client = docker.from_env(timeout=10)
        client.ping()
        client.api.timeout = 300  # some storage drivers copy the whole image for every container
    except (DockerException, OSError, ValueError) as error:
        reason = str(error).replace("\n", " ")[:200]
        raise SandboxUnavailable(
            f"no Docker daemon answers ({reason}): start one, or set DOCKER_HOST"
        ) from None
    if client.api.base_url != "http+docker://localhost":
        client.close()
        raise SandboxUnavailable(
            "the Docker daemon is on another machine: the judge shares memory with its runners, use a local one"
        )
    return client


def _started(pid: int) -> str:
    """When a process began, in clock ticks since boot; empty when there is none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def identity() -> str:
    """This process, so named that no later one has the same name: number, start, pid namespace."""
    pid = os.getpid()
    return f"{pid}.{_started(pid)}.{Path('/proc/self/ns/pid').stat().st_ino}"


def _gone(name: str) -> bool:
    """Whether the judge of that name has ended; false where its process could not be seen from here."""
    pid, _, rest = name.partition(".")
    started, _, space = rest.partition(".")
    if not pid.isdigit() or space != str(Path("/proc/self/ns/pid").stat().st_ino):
        return False
    return _started(int(pid)) != started


def orphans(client: Any) -> list[Any]:
    """Containers whose judge has ended without being able to remove them."""
    found = client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return [container for container in found if _gone(container.labels[LABEL])]


def sweep(client: Any) -> int:
    """Remove what killed judges left: containers, and folders of sockets. How many containers there were."""
    from docker.errors import APIError

    left = orphans(client)
    for container in left:
        with contextlib.suppress(APIError):  # another judge was quicker
            container.remove(force=True)
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if _gone(folder.name.removeprefix(PREFIX).rpartition("-")[0]):
            shutil.rmtree(folder, ignore_errors=True)
    return len(left)


def speaker(link: socket.socket) -> int:
    """The process at the other end of a Unix socket, as the kernel says and this process numbers it."""
    credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], "little")
