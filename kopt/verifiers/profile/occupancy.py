"""How many warps of a GPU kernel can be resident at once, from the architecture's published limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kopt.sandbox.runner.toolchains.multiprocessor import LIMITS, WARP, Limits, warps_with
from kopt.words import GpuKernel

_BLOCKS = (64, 128, 256, 512, 1024)
_MOST_KERNELS = 64
_SM = re.compile(r"sm_(\d{2,3})[af]?")


def occupancy(limits: Limits, threads: int, registers: int, shared: int) -> tuple[float, str]:
    """Share of the warps that can be resident, 0 to 1 (0: not even one block), and what holds it down."""
    warps = -(-threads // WARP)
    fits = {"warps": limits.warps // warps, "blocks": limits.blocks}
    if registers:
        fits["registers"] = warps_with(registers) // warps
    if shared:
        taken = -(-(shared + limits.reserved) // limits.unit) * limits.unit
        fits["shared memory"] = limits.shared // taken
    limit = min(fits, key=lambda name: fits[name])
    return min(1.0, fits[limit] * warps / limits.warps), limit


def kernels(report: Mapping[str, Any]) -> tuple[GpuKernel, ...]:
    """The kernels of a build's report, a builder's words; what does not read like one is left out."""
    found = report.get("kernels")
    if not isinstance(found, (list, tuple)):
        return ()
    told = [_kernel(item, report) for item in found[:_MOST_KERNELS] if isinstance(item, Mapping)]
    return tuple(kernel for kernel in told if kernel is not None)


def _count(item: Mapping[str, Any], name: str, most: int) -> int:
    value = item.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most else 0


def shortened(name: str) -> str:
    """A kernel's name as it is kept: mangled ones can be very long."""
    return " ".join(name.split())[:120]


def _kernel(item: Mapping[str, Any], report: Mapping[str, Any]) -> GpuKernel | None:
    target = str(item.get("arch") or report.get("target") or "")
    number = _SM.fullmatch(target)
    registers, shared = _count(item, "registers", 255), _count(item, "shared_bytes", 1 << 20)
    if not number or not registers:
        return None
    warps = _count(item, "warps", 32)
    limits = LIMITS.get(int(number[1]))
    best: tuple[float, str] | None = None
    if limits is not None:
        sizes = (warps * WARP,) if warps else _BLOCKS
        best = max((occupancy(limits, size, registers, shared) for size in sizes), key=lambda pair: pair[0])
    return GpuKernel(
        name=shortened(str(item.get("name", "?"))),
        target=target,
        registers=registers,
        spill_bytes=_count(item, "spill_store_bytes", 1 << 20) + _count(item, "spill_load_bytes", 1 << 20),
        shared_bytes=shared,
        threads=warps * WARP or None,
        occupancy=round(best[0], 3) if best else None,
        limit=best[1] if best else "",
    )
