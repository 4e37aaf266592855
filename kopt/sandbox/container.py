"""The Docker back end: a container that holds one zygote, and what that container may do: next to nothing.

The zygote needs namespaces and mounts of its own for every runner. It does not get the capability for that:
the container drops all of them, and the zygote enters a user namespace, in which it has the powers and
outside of which it has none. That is what bubblewrap does as well; so the layers are alike from there on.
Docker's default filter of system calls and its AppArmor profile forbid both to processes without the
capability; the container gets kopt's own filter (:data:`FILTER`) instead, which leaves open what the zygote
needs, and every runner closes that again before it loads anything.

Judge and zygote meet at a socket in a folder that is mounted into the container. The first who connects is
compared by the kernel's word with the container's first process; then the folder is gone, and descriptors
pass over the connection as they do over a pair of sockets.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kopt.errors import SandboxUnavailable
from kopt.sandbox import daemon, image, places, processes, seccomp
from kopt.sandbox.backend import Launched, Toolchain
from kopt.sandbox.report import IsolationReport
from kopt.sandbox.zygote import python_command
from kopt.settings import Settings

LINK = "/.kopt/link"
NEEDED = ("mount", "unshare", "socket", "landlock_create_ruleset")
"""What the zygote, and only it, does of the calls no runner may make."""
FILTER = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {"names": [name for name in seccomp.DENIED if name not in NEEDED], "action": "SCMP_ACT_ERRNO"}
    ],
}
# Writable by all in a container, and shared by all runners in it: they do not see them.
_HIDDEN = ["/dev/mqueue", "/dev/pts"]
_NOBODY = 65534


def _user() -> tuple[int, int]:
    """Who the zygote is: nobody, or where the judge may stop only its own processes, the judge's user."""
    return (_NOBODY, _NOBODY) if os.geteuid() == 0 else (os.geteuid(), os.getegid())


def _roots() -> list[Path]:
    """The Python environment's directories, without the host's /usr: the image has its own."""
    usr, *system = places.SYSTEM
    return places.visible_roots(system, without=usr)


def _mounts(headers: Path, link: str) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Binds (all read only) and masks: the Python environment at its own paths, nothing of the judge's."""
    package = places.package_directory()
    roots = _roots()
    cuda = places.cuda_root()
    if cuda is not None and not places.under(cuda, roots):
        roots.append(cuda)
    masks = {str(package): "size=4k,nr_inodes=2,ro"} if places.under(package, roots) else {}
    binds = {str(root): str(root) for root in roots}
    binds |= {
        str(package / "sandbox" / "runner"): f"{places.RUNNER}/kopt_runner",
        str(package): f"{places.PACKAGE}/kopt",
        str(headers): places.HEADERS,
        link: LINK,
        "/dev/null": "/etc/resolv.conf",  # the daemon copies the host's name servers there
    }
    return {source: {"bind": target, "mode": "ro"} for source, target in binds.items()}, masks


def options(
    headers: Path, link: str, environment: Mapping[str, str], *, gpus: str, security: list[str], threads: int
) -> dict[str, Any]:
    """What the container is created with. ``security``: the mechanisms the daemon says it applies."""
    from docker.types import DeviceRequest, LogConfig, Ulimit

    volumes, masks = _mounts(headers, link)
    user, group = _user()
    memory = int(0.8 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    small = f"size={places.SMALL},nosuid,nodev,mode=1777"
    granted = [name.strip() for name in gpus.split(",") if name.strip()]
    chosen: dict[str, Any] = {}
    if granted:
        chosen["device_requests"] = [
            DeviceRequest(driver="nvidia", device_ids=granted, capabilities=[["gpu"]])
        ]
        environment = {
            **environment,
            "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
            "CUDA_VISIBLE_DEVICES": ",".join(map(str, range(len(granted)))),
        }
    opened = ["apparmor=unconfined"] if "apparmor" in security else []
    opened += ["label=disable"] if "selinux" in security else []
    return {
        "user": f"{user}:{group}",
        "hostname": "kopt",
        "working_dir": places.SCRATCH,
        "environment": dict(environment),
        "use_config_proxy": False,  # the user's proxies, often with a password
        "labels": {daemon.LABEL: daemon.identity()},
        "network_mode": "none",
        "ipc_mode": "private",
        "cgroupns": "private",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true", f"seccomp={json.dumps(FILTER)}", *opened],
        "volumes": volumes,
        "tmpfs": {places.SCRATCH: small, **masks},
        "shm_size": places.SMALL,
        "mem_limit": memory,
        "memswap_limit": memory,
        "pids_limit": 8 * max(256, 2 * threads + 64),
        # Cores, not a share of their time: a quota would stop runners in the middle of what is timed.
        "cpuset_cpus": ",".join(map(str, sorted(os.sched_getaffinity(0)))),
        # A core limit of 1 is what runners set themselves: 0 would not stop dumps that are piped to a program.
        "ulimits": [Ulimit(name="core", soft=1, hard=1), Ulimit(name="msgqueue", soft=0, hard=0)],
        "log_config": LogConfig(type="none"),
        "auto_remove": True,
        **chosen,
    }


class Container:
    """A running container. See :class:`~kopt.sandbox.backend.Launched`."""

    def __init__(self, container: Any, control: socket.socket, pid: int, stream: Any) -> None:
        self.control, self.pid = control, pid
        self._container, self._stream = container, stream
        self._pidfd = os.pidfd_open(pid)

    @property
    def alive(self) -> bool:
        """Whether the container's first process still runs."""
        return self._pidfd >= 0 and not processes.wait_gone(self._pidfd, 0)

    def words(self) -> str:
        """What the zygote printed."""
        return _printed(self._stream)

    def end(self) -> None:
        """Kill the container; returns when the daemon has removed it."""
        if self._pidfd < 0:
            return
        with contextlib.suppress(OSError):
            self.control.close()
        _remove(self._container)
        processes.wait_gone(self._pidfd, 10.0)
        os.close(self._pidfd)
        self._pidfd = -1
        self._stream.close()


def _remove(container: Any, timeout: float = 20.0) -> None:
    """Kill and remove; returns when the daemon no longer knows it."""
    from docker.errors import APIError, NotFound

    deadline = time.monotonic() + timeout
    with contextlib.suppress(APIError):
        container.kill()
    while time.monotonic() < deadline:
        try:
            container.remove(force=True)
        except NotFound:
            return
        except APIError:  # being removed already
            time.sleep(0.01)


def _printed(stream: Any) -> str:
    """What came over an attached stream so far, without the daemon's frames."""
    raw = getattr(stream, "_sock", stream)
    data = b""
    with contextlib.suppress(OSError):
        raw.settimeout(0.2)  # the daemon passes on what was printed a moment later
        while len(data) < 1 << 16 and (part := raw.recv(1 << 14)):
            data += part
    text = b""
    while len(data) >= 8:
        size = int.from_bytes(data[4:8], "big")
        text, data = text + data[8 : 8 + size], data[8 + size :]
    return text.decode("utf-8", "replace").strip()


class Docker:
    """Containers on a local Docker daemon. See :mod:`kopt.sandbox.backend`."""

    name = "docker"
    isolated = True
    scratch = places.SCRATCH

    def __init__(self, settings: Settings) -> None:
        """Find the daemon and the image, and remove what killed judges left.

        Raises:
            SandboxUnavailable: one of them is missing; the message says what to do.
        """
        self._client = daemon.connect()
        try:
            found = image.find(self._client)
            if found is None:
                raise SandboxUnavailable("there is no image for sandboxes yet: run `kopt sandbox build`")
            self.image = found
            self._gpus = settings.gpus
            self._threads = settings.threads or len(os.sched_getaffinity(0))
            said = self._client.info().get("SecurityOptions") or []
            self._security = [str(item).removeprefix("name=").partition(",")[0] for item in said]
            daemon.sweep(self._client)
        except BaseException:
            self._client.close()
            raise

    def toolchain(self) -> Toolchain:
        """The image's compiler."""
        return Toolchain("g++", self.image.compiler, self.image.digest)

    def start(self, environment: Mapping[str, str], headers: Path) -> Launched:
        """Start a container and wait until its zygote has connected.

        Raises:
            SandboxUnavailable: it did not; with the daemon's or the container's reason.
        """
        from docker.errors import DockerException, NotFound

        folder = Path(tempfile.mkdtemp(prefix=f"{daemon.PREFIX}{daemon.identity()}-"))
        container = stream = None
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(folder / "control"))
                listener.listen(1)
                if os.geteuid() == 0:
                    for path in (folder, folder / "control"):
                        os.chown(path, *_user())
                chosen = options(
                    headers,
                    str(folder),
                    environment,
                    gpus=self._gpus,
                    security=self._security,
                    threads=self._threads,
                )
                command = python_command(places.RUNNER, f"{LINK}/control")
                container = self._client.containers.create(self.image.digest, command, **chosen)
                stream = container.attach_socket(params={"stdout": 1, "stderr": 1, "stream": 1})
                container.start()
                pid = 0
                with contextlib.suppress(NotFound):  # it ended at once; why is in the stream
                    container.reload()
                    pid = int(container.attrs["State"]["Pid"])
                return Container(container, _accept(listener, stream, pid), pid, stream)
        except BaseException as error:
            if container is not None:
                _remove(container)
            if stream is not None:
                stream.close()
            if isinstance(error, DockerException | OSError):
                reason = " ".join(str(error).split())[:400]
                raise SandboxUnavailable(f"the container cannot be started: {reason}") from None
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def config(self, headers: Path) -> dict[str, Any]:
        """Everything lies where the mounts put it; the powers come from a user namespace."""
        free = not any(places.under(root, [Path("/tmp")]) for root in _roots())
        return places.inside() | {
            "own_users": True,
            "hidden": _HIDDEN,
            "whole_sys": True,
            "temporary": "/tmp" if free else "",
        }

    def relax(self, report: IsolationReport) -> bool:
        """There is nothing to give up."""
        return False

    def describe(self, report: IsolationReport) -> None:
        """Note what the container holds."""
        user, group = _user()
        report.layers["namespaces"] = "user pid net ipc uts cgroup mount"
        report.layers["launcher environment"] = "kopt's own"
        report.layers["container"] = f"user {user}:{group}, no capabilities, no network, read-only root"
        report.layers["image"] = f"{self.image.digest} from {self.image.base}"
        report.layers["memory ceiling"] = report.layers["pids ceiling"] = "one for the container"
        report.lack("nested user namespaces forbidden", "only seccomp and dropped capabilities forbid them")
        if "apparmor" in self._security:
            report.lack(
                "AppArmor", "Docker's profile forbids the zygote's mounts; only the container's is lost"
            )
        if "selinux" in self._security:
            report.lack("SELinux label", "what is mounted from the host carries none a container may read")

    def make_scratch(self) -> str:
        """Runners mount their own."""
        return ""

    def close(self) -> None:
        """Part with the daemon; containers ended with their zygotes."""
        self._client.close()


def _accept(listener: socket.socket, stream: Any, pid: int, timeout: float = 60.0) -> socket.socket:
    """The zygote's connection.

    Raises:
        SandboxUnavailable: the container ended, took too long, or somebody else connected.
    """
    pidfd = -1
    if pid:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile; why is in the stream
            pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        if pidfd >= 0:
            poll.register(pidfd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(timeout * 1000)] if pidfd >= 0 else []
    finally:
        if pidfd >= 0:
            os.close(pidfd)
    if listener.fileno() not in ready:
        lines = _printed(stream).splitlines()
        raise SandboxUnavailable(f"the container did not start: {lines[-1] if lines else 'no reason given'}")
    control, _ = listener.accept()
    if daemon.speaker(control) != pid:
        control.close()
        raise SandboxUnavailable(
            "a process other than the container's connected: does kopt see the processes of the Docker daemon?"
        )
    try:
        os.kill(pid, 0)
    except PermissionError:
        control.close()
        raise SandboxUnavailable(
            "the daemon runs containers as a user whose processes kopt may not stop (rootless or userns-remap): "
            "use --sandbox bubblewrap"
        ) from None
    return control
