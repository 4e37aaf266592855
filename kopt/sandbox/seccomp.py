"""The system call filter every runner gets: a list of what compute code never needs, answered with EPERM.

A list of denials, not of permissions: torch, compilers and OpenMP use a wide and moving set. EPERM instead
of a kill, because libraries probe. Attack surface and side doors are closed; what remains is held by the
namespaces.
"""

from __future__ import annotations

import errno
import tempfile

DENIED = [
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "bpf",
    "perf_event_open",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "pidfd_open",
    "kcmp",
    "keyctl",
    "add_key",
    "request_key",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "mount",
    "umount2",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "pivot_root",
    "chroot",
    "setns",
    "unshare",
    "open_by_handle_at",
    "name_to_handle_at",
    "personality",
    "quotactl",
    "quotactl_fd",
    "swapon",
    "swapoff",
    "reboot",
    "syslog",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "acct",
    "iopl",
    "ioperm",
    "mbind",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "migrate_pages",
    "move_pages",
    "vhangup",
    "uselib",
    "process_madvise",
    "nfsservctl",
    "lookup_dcookie",
    "modify_ldt",
    "fanotify_init",
    "fanotify_mark",
    "socket",
    "mknod",
    "mknodat",
    "landlock_create_ruleset",
    "sethostname",
    "setdomainname",
]

_NEW_NAMESPACES = (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x80)
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_F_ADD_SEALS = 1033


def program() -> tuple[bytes, str]:
    """The filter as classic BPF, and why there is none when it is empty."""
    try:
        import pyseccomp as seccomp
    except Exception as error:  # libseccomp.so.2 missing surfaces as several types
        return b"", f"pyseccomp cannot be used ({error}): install libseccomp2"
    try:
        rules = seccomp.SyscallFilter(seccomp.ALLOW)
        deny = seccomp.ERRNO(errno.EPERM)
        for name in DENIED:
            try:
                rules.add_rule(deny, name)
            except (ValueError, OSError):
                continue  # this architecture or library does not know the call
        # clone3 hides its flags behind a pointer: glibc falls back to clone, whose flags can be looked at.
        rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
        for flag in _NEW_NAMESPACES:
            rules.add_rule(deny, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
        for request in (_TIOCSTI, _TIOCLINUX):
            rules.add_rule(deny, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, request))
        rules.add_rule(deny, "fcntl", seccomp.Arg(1, seccomp.EQ, _F_ADD_SEALS))
        with tempfile.TemporaryFile() as file:
            rules.export_bpf(file)
            file.seek(0)
            return file.read(), ""
    except Exception as error:
        return b"", f"libseccomp refused the filter ({error})"
