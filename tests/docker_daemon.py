"""A Docker daemon and an image for the tests, made here where none answers and no registry can be reached."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

# For fixtures over the back ends: everything with docker in one worker, which has the daemon.
BACKENDS = [
    pytest.param("bubblewrap", marks=pytest.mark.needs("bubblewrap")),
    pytest.param("docker", marks=pytest.mark.needs("docker")),
]
# What is slow and has nothing to do with what isolates: the back ends share that code.
ONE_BACKEND = pytest.mark.parametrize("kind", BACKENDS[:1], indirect=True, scope="session")
BASE = "kopt-test-base"
TOOLS = ("dockerd", "debootstrap", "tar")


def ready() -> str | None:
    """Why no daemon with kopt's image answers, None when one does."""
    try:
        from kopt.errors import KoptError
        from kopt.sandbox import daemon, image

        client = daemon.connect()
    except KoptError as error:
        return str(error)
    try:
        return None if image.find(client) else "the sandbox image is not built: kopt sandbox build"
    finally:
        client.close()


def cannot_start() -> str | None:
    """Why the tests cannot make a daemon and an image of their own."""
    if os.geteuid() != 0:
        return "only root can start a Docker daemon"
    missing = [name for name in TOOLS if shutil.which(name) is None]
    return f"{', '.join(missing)}: not installed" if missing else None


class NoDaemon(Exception):
    """A daemon that was started did not answer; the message ends with its last words."""


@contextlib.contextmanager
def own_daemon() -> Iterator[str]:
    """Start a daemon in folders of its own and stop it afterwards; yields its address.

    Raises:
        NoDaemon: it ended or did not answer.
    """
    # Not named after kopt: command line tests look for what kopt left running.
    with tempfile.TemporaryDirectory(prefix="test-dockerd-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        host = f"unix://{folder}/docker.sock"
        words = ["dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--host", host]
        words += ["--pidfile", f"{folder}/pid", "--bridge=none", "--iptables=false", "--ip6tables=false"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _wait(process, host, folder / "log")
            yield host
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for mount in _mounts_below(folder):
                subprocess.run(["umount", "-l", mount], check=False)


def _wait(process: subprocess.Popen[bytes], host: str, log: Path, timeout: float = 60.0) -> None:
    import docker

    deadline = time.monotonic() + timeout
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(Exception):
            client = docker.DockerClient(base_url=host, timeout=5)
            client.ping()
            client.close()
            return
        time.sleep(0.1)
    lines = [line for line in log.read_text(errors="replace").splitlines() if "level=info" not in line]
    raise NoDaemon(f"dockerd does not start here: {' | '.join(lines[-3:])[-600:] or 'it says nothing'}")


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return sorted(
        (p for p in (line.split()[1] for line in lines) if p.startswith(f"{folder}/")), reverse=True
    )


def import_base(host: str) -> None:
    """Make a base image of this machine's own system, with a compiler, without any registry.

    Raises:
        NoDaemon: debootstrap failed; the message ends with its last words.
    """
    import docker

    client = docker.DockerClient(base_url=host, timeout=300)
    client.api.import_image_from_file(str(_base()), repository=BASE)
    client.close()


@functools.cache
def _base() -> Path:
    """The base image's archive, made once for all daemons of this process."""
    folder = Path(tempfile.mkdtemp(prefix="test-base-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")
    with tempfile.TemporaryDirectory(prefix="test-debootstrap-") as root:
        try:
            subprocess.run(
                ["debootstrap", "--variant=minbase", "--include=g++", suite, f"{root}/root"],
                env={**os.environ, "DPKG_FORCE": "unsafe-io"},  # nothing of it outlives the session
                capture_output=True,
                text=True,
                check=True,
                timeout=240,
            )
        except subprocess.TimeoutExpired:
            raise NoDaemon("debootstrap took longer than 240 s: is the mirror of packages slow?") from None
        except subprocess.CalledProcessError as error:
            raise NoDaemon(f"debootstrap failed: {' | '.join(error.stdout.splitlines()[-2:])}") from None
        subprocess.run(["tar", "-C", f"{root}/root", "-cf", folder / "base.tar", "."], check=True)
    return folder / "base.tar"


@contextlib.contextmanager
def serve() -> Iterator[str]:
    """A daemon with kopt's image: the one that answers, else one of our own for as long as this lasts."""
    from kopt.sandbox import daemon, image

    if ready() is None:
        yield os.environ.get("DOCKER_HOST", "")
        return
    before = os.environ.get("DOCKER_HOST")
    with own_daemon() as host:
        os.environ["DOCKER_HOST"] = host
        try:
            import_base(host)
            client = daemon.connect()
            image.build(client, BASE)
            client.close()
            yield host
        finally:
            del os.environ["DOCKER_HOST"]
            if before is not None:
                os.environ["DOCKER_HOST"] = before


def main() -> int:
    """Whether tests that need docker can run here: 0, or 1 and the reason."""
    why = ready() and cannot_start()
    if ready() and not why:
        try:
            with own_daemon():
                pass
        except NoDaemon as error:
            why = str(error)
    if why:
        print(f"the tests that need docker are skipped: {why}", file=sys.stderr)
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main())
