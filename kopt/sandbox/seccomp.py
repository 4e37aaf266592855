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
    "lsm_set_self_attr",
    "open_tree_attr",
    "statmount",
    "listmount",
    # What the user's other programs would run out of: watches are counted per user, across namespaces.
    "inotify_init",
    "inotify_init1",
    # Marks on the judge's memory files, which the next candidate could read.
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "setxattrat",
    "file_setattr",
    "sethostname",
    "setdomainname",
]

_NEW_NAMESPACES = (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x80)
_TIOCSTI, _TIOCLINUX, _SETFLAGS, _FSSETXATTR = 0x5412, 0x541C, 0x40086602, 0x401C5820
_F_ADD_SEALS, _F_SETLEASE, _F_NOTIFY, _F_SET_RW_HINT = 1033, 1024, 1026, 1036
_INT = 0xFFFFFFFF  # the kernel looks at the lower half of such an argument only, whatever the upper half says
_AF_UNIX, _RLIMIT_CORE = 1, 4


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
        for request in (_TIOCSTI, _TIOCLINUX, _SETFLAGS, _FSSETXATTR):
            rules.add_rule(deny, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, _INT, request))
        for request in (_F_ADD_SEALS, _F_SETLEASE, _F_NOTIFY, _F_SET_RW_HINT):
            rules.add_rule(deny, "fcntl", seccomp.Arg(1, seccomp.MASKED_EQ, _INT, request))
        # Other families have pairs too, and their modules would be loaded for it.
        rules.add_rule(deny, "socketpair", seccomp.Arg(0, seccomp.NE, _AF_UNIX))
        # A limit of one byte is what keeps a crash from a core dump handler on the host; zero would not.
        rules.add_rule(deny, "setrlimit", seccomp.Arg(0, seccomp.MASKED_EQ, _INT, _RLIMIT_CORE))
        core = seccomp.Arg(1, seccomp.MASKED_EQ, _INT, _RLIMIT_CORE)
        rules.add_rule(deny, "prlimit64", core, seccomp.Arg(2, seccomp.NE, 0))
        with tempfile.TemporaryFile() as file:
            rules.export_bpf(file)
            file.seek(0)
            return file.read(), ""
    except Exception as error:
        return b"", f"libseccomp refused the filter ({error})"
