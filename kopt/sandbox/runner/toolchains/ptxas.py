"""Read what ptxas says about each kernel: registers, spills, shared memory, stack."""

from __future__ import annotations

import re
from typing import Any

_ENTRY = re.compile(r"Compiling entry function '([^']+)' for '([^']+)'")
_PROPERTIES = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


def kernels(log: str) -> list[dict[str, Any]]:
    """One record per entry function of ``ptxas -v``'s output."""
    found: list[dict[str, Any]] = []
    for line in log.splitlines():
        if entry := _ENTRY.search(line):
            found.append({"name": entry[1], "arch": entry[2], "registers": 0, "shared_bytes": 0})
        elif not found:
            continue
        elif properties := _PROPERTIES.search(line):
            stack, stores, loads = map(int, properties.groups())
            found[-1] |= {"stack_bytes": stack, "spill_store_bytes": stores, "spill_load_bytes": loads}
        elif used := _USED.search(line):
            found[-1]["registers"] = int(used[1])
            if shared := _SHARED.search(line):
                found[-1]["shared_bytes"] = int(shared[1])
    return found
