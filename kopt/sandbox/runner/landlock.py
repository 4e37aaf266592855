"""Landlock, belt and braces: even if a mount were writable by mistake, only scratch is written."""

from __future__ import annotations

import ctypes
import os
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_WRITE_FILE, _READ, _EXECUTE, _READ_DIR = 1 << 1, 1 << 2, 1 << 0, 1 << 3
_ALL = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
_IOCTL_DEV = 1 << 15
_TCP = 0b11
_SCOPES = 0b11


def version() -> int:
    """The kernel's Landlock ABI, 0 where there is none."""
    return max(0, int(_libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))))


def _accelerators() -> list[str]:
    return [name for name in os.listdir("/dev") if name.startswith("nvidia")]  # noqa: PTH208


def restrict(scratch: str) -> bool | str:
    """Allow reading and executing what is visible, writing only under scratch, /dev/shm and to /dev/null.

    Also denies TCP and signals or abstract sockets across the domain where the kernel knows how.
    Needs no_new_privs or CAP_SYS_ADMIN. Returns the ABI in words, or False.
    """
    abi = version()
    if not abi:
        return False
    handled = _ALL[min(abi, 3)] | (_IOCTL_DEV if abi >= 5 else 0)
    words = [handled]
    if abi >= 4:
        words.append(_TCP)
    if abi >= 6:
        words.append(_SCOPES)
    attributes = struct.pack(f"<{len(words)}Q", *words)
    ruleset = _libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    rules = [("/", _READ | _EXECUTE | _READ_DIR), (scratch, handled), ("/dev/shm", handled)]
    rules += [(f"/dev/{name}", _READ | _WRITE_FILE) for name in ("null", "zero", "full", "random", "urandom")]
    # There are none unless the user had GPUs granted to the container.
    rules += [(f"/dev/{name}", _READ | _WRITE_FILE | _IOCTL_DEV) for name in _accelerators()]
    try:
        for path, access in rules:
            try:
                fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            rule = struct.pack("<Qi", access & handled, fd)
            done = _libc.syscall(_ADD, ruleset, 1, rule, ctypes.c_uint32(0))
            os.close(fd)
            if done:
                return False
        return f"ABI {abi}" if not _libc.syscall(_RESTRICT, ruleset, ctypes.c_uint32(0)) else False
    finally:
        os.close(ruleset)
