"""Turn a fork of the zygote into a runner: own namespaces, own scratch, no powers, few system calls.

Called once, by trusted code, before anything of a problem or candidate is loaded.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from . import landlock, system

SYS_FILES = ("devices/system/cpu", "kernel/mm/transparent_hugepage")
PROC_FILES = ("cpuinfo", "meminfo", "stat", "filesystems", "uptime", "loadavg", "version")


def mount_private(scratch: str, scratch_bytes: int, masked: Sequence[str]) -> None:
    """Own scratch and shared memory, ``masked`` paths hidden, a /proc that shows only this runner."""
    plain = system.MS_NOSUID | system.MS_NODEV
    outer = os.readlink("/proc/self")  # noqa: PTH115 - our number in the zygote's pid namespace, which /proc belongs to
    system.mount("none", "/", None, system.MS_REC | system.MS_PRIVATE)
    system.mount("tmpfs", "/dev/shm", "tmpfs", plain, f"size={scratch_bytes // 4},nr_inodes=4096,mode=1777")
    system.mount("tmpfs", scratch, "tmpfs", plain, f"size={scratch_bytes},nr_inodes=65536,mode=1777")
    for path in masked:
        if os.path.isdir(path):  # noqa: PTH112 - pathlib is not worth its import here
            system.mount(
                "tmpfs", path, "tmpfs", plain | system.MS_RDONLY | system.MS_NOEXEC, "size=4k,nr_inodes=2"
            )
    # A fresh procfs is refused where bubblewrap has covered parts of its own, so one is put together by hand:
    # harmless files, and this runner's own directory. Nothing of the zygote or of a sibling is in it.
    draft = f"{scratch}/.proc"
    os.mkdir(draft)  # noqa: PTH102
    system.mount("tmpfs", draft, "tmpfs", plain | system.MS_NOEXEC, "size=64k,nr_inodes=64,mode=755")
    for name in PROC_FILES:
        with contextlib.suppress(OSError):
            os.close(os.open(f"{draft}/{name}", os.O_CREAT | os.O_WRONLY, 0o444))
            system.mount(f"/proc/{name}", f"{draft}/{name}", None, system.MS_BIND)
    os.mkdir(f"{draft}/self")  # noqa: PTH102
    system.mount(f"/proc/{outer}", f"{draft}/self", None, system.MS_BIND)
    system.mount(draft, "/proc", None, system.MS_MOVE)
    system.mount(
        "none",
        "/proc",
        None,
        system.MS_REMOUNT | system.MS_BIND | system.MS_RDONLY | plain | system.MS_NOEXEC,
    )
    os.rmdir(draft)  # noqa: PTH106


def mount_sys(scratch: str) -> None:
    """A /sys with the processor's layout and whether huge pages may be asked for, where all of it is shown."""
    draft = f"{scratch}/.sys"
    os.mkdir(draft)  # noqa: PTH102
    plain = system.MS_NOSUID | system.MS_NODEV | system.MS_NOEXEC
    system.mount("tmpfs", draft, "tmpfs", plain, "size=16k,nr_inodes=16,mode=755")
    for name in SYS_FILES:
        if os.path.isdir(f"/sys/{name}"):  # noqa: PTH112
            os.makedirs(f"{draft}/{name}")  # noqa: PTH103
            # With what is mounted below it: a container engine covers parts, and those may not be uncovered.
            system.mount(f"/sys/{name}", f"{draft}/{name}", None, system.MS_BIND | system.MS_REC)
    system.mount(draft, "/sys", None, system.MS_MOVE)
    system.mount("none", "/sys", None, system.MS_REMOUNT | system.MS_BIND | system.MS_RDONLY | plain)
    os.rmdir(draft)  # noqa: PTH106


def limit(limits: Mapping[str, Any]) -> None:
    """Set resource limits; address space counts from what is mapped now."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    ceilings = {
        resource.RLIMIT_AS: mapped + limits["memory_bytes"] + limits["shared_bytes"],
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_NPROC: limits["processes"],
        resource.RLIMIT_NOFILE: 1024,
        # Where dumps are piped to a program (core(5)), that runs on the host whatever the limit is, except for 1.
        resource.RLIMIT_CORE: 1,
        resource.RLIMIT_RTPRIO: 0,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_SIGPENDING: 1024,  # counted per user, across namespaces
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_MEMLOCK: 1 << 20,
    }
    if limits["shadow"]:
        del ceilings[resource.RLIMIT_AS]
        system.fix_addresses()
    if limits.get("cpu_seconds"):
        ceilings[resource.RLIMIT_CPU] = limits["cpu_seconds"]
    for kind, ceiling in ceilings.items():
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            ceiling = min(ceiling, hard)
        resource.setrlimit(kind, (ceiling, ceiling))


def confine(
    config: Mapping[str, Any], limits: Mapping[str, Any], masked: Sequence[str]
) -> dict[str, bool | str]:
    """Apply every layer this machine offers, in order, and tell which hold.

    Raises:
        OSError: a layer that must hold does not; the runner must not start.
    """
    layers: dict[str, bool | str] = {}
    os.umask(0o077)
    # Libraries install handlers that print a symbolised stack: half a second for every crash.
    for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("1000")  # without a control group the kernel chooses whom to kill: never the judge
    if config["isolate"]:
        mount_private(config["scratch"], limits["scratch_bytes"], [*masked, *config.get("hidden", ())])
        if config.get("whole_sys"):
            mount_sys(config["scratch"])
        if config.get("temporary"):
            system.mount(config["scratch"], config["temporary"], None, system.MS_BIND)
        layers["private scratch"] = layers["private /proc"] = True
        os.chdir(config["scratch"])
    limit(limits)
    layers["rlimits"] = True
    if config["isolate"]:
        layers["landlock"] = landlock.restrict(config["scratch"])
        system.drop_capabilities()
        layers["no capabilities"] = True
    system.prctl(system.PR_SET_NO_NEW_PRIVS, 1)
    layers["no new privileges"] = True
    if config["seccomp"]:
        system.install_seccomp(bytes.fromhex(config["seccomp"]))
        layers["seccomp"] = True
    return layers
