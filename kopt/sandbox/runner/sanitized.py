"""Become a sanitized program: the runner is replaced by it, and so keeps its confinement and its place in /proc.

A child would not do: /proc shows this runner alone, and sanitizers read their own memory map there. The socket
to the judge stays open without being used, so that the judge sees the end of the program.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from typing import Any

from .loop import BadRequest

# DLPack's codes; the width follows from the name.
_CODES = {"float": 2, "bfloat": 4, "int": 0, "uint": 1}
_STACK = 64 << 20  # a sanitizer's frames are larger than a candidate's own
_LINK = 3  # where the zygote puts the socket

OPTIONS = {
    # Core dumps are off already, and setting their limit is not allowed here. Findings only, each once; leaks,
    # which need ptrace, are nobody's business here. Fresh memory is filled, with NaN to begin with: what is read
    # before it was written shows in the outputs.
    "ASAN_OPTIONS": (
        "detect_leaks=0:disable_coredump=0:detect_odr_violation=0:alloc_dealloc_mismatch=0:halt_on_error=1:abort_on_error=0:"
        "allocator_may_return_null=1:max_malloc_fill_size=1073741824:print_legend=0:strict_memcmp=0:"
        # 2: over the handler that TVM-FFI installs, which knows no lines.
        "handle_segv=2:handle_sigbus=2:handle_sigfpe=2:handle_sigill=2:handle_abort=2:color=never"
    ),
    "UBSAN_OPTIONS": "print_stacktrace=0:halt_on_error=0:color=never",
    "TSAN_OPTIONS": (
        "disable_coredump=0:halt_on_error=0:report_thread_leaks=0:report_signal_unsafe=0:report_destroy_locked=0:report_mutex_bugs=0:"
        "detect_deadlocks=0:history_size=7:color=never:exitcode=0"
    ),
}


def dlpack_type(dtype: str) -> tuple[int, int]:
    """DLPack's type code and number of bits for a torch dtype's name."""
    if dtype == "bool":
        return 6, 8
    word = dtype.rstrip("0123456789")
    if word not in _CODES or word == dtype:
        raise BadRequest(f"dtype {dtype} cannot be given to a sanitized program")
    return _CODES[word], int(dtype[len(word) :])


def describe(tensors: Sequence[Mapping[str, Any]], fds: Sequence[int]) -> str:
    """What the host program reads: a line per argument, in call order."""
    lines = []
    for number, item in enumerate(tensors):
        code, bits = dlpack_type(item["dtype"])
        words = [fds[item["file"]], item["offset"], item["nbytes"], code, bits, int(item["role"] == "output")]
        words += [len(item["shape"]), *item["shape"], *item["strides"]]
        name = "".join(c if c.isalnum() or c in "._" else "_" for c in item["name"])[:100]
        lines.append(" ".join(map(str, words)) + f" {name or number}\n")
    return "".join(lines)


def become(directory: str, body: Mapping[str, Any], fds: Sequence[int]) -> None:
    """Replace this process by the program in the first descriptor; the others hold the tensors. Does not return."""
    import tvm_ffi

    program, description = os.path.join(directory, "program"), os.path.join(directory, "arguments")  # noqa: PTH118
    with open(program, "wb") as file:  # noqa: PTH123
        file.write(os.pread(fds[0], os.fstat(fds[0]).st_size, 0))
    os.chmod(program, 0o700)  # noqa: PTH101
    with open(description, "w") as file:  # noqa: PTH123
        file.write(describe(body["tensors"], fds[1:]))
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    most = _STACK if hard == resource.RLIM_INFINITY else min(_STACK, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_STACK, (most, hard))
    for fd in (_LINK, *fds[1:]):
        os.set_inheritable(fd, True)
    library = os.path.join(os.path.dirname(str(tvm_ffi.__file__)), "lib")  # noqa: PTH118, PTH120
    fill = f":malloc_fill_byte={int(body['fill'])}"
    environment = {**OPTIONS, "ASAN_OPTIONS": OPTIONS["ASAN_OPTIONS"] + fill}
    environment |= {"LD_LIBRARY_PATH": library, "LANG": "C", "OMP_NUM_THREADS": "4"}
    os.execve(program, [program, description], environment)
