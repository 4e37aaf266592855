"""Rules for GPU kernels, from what the build ahead of time says and their machine code shows (docs/profile.md)."""

from __future__ import annotations

import re

from kopt.verifiers.profile.facts import Facts
from kopt.words import GpuKernel, GpuLoop

RESIDENT = 0.25
"""Occupancy below which a GPU kernel has too few warps to hide memory's latency behind."""
DENSE = 16.0
"""Operations for each byte above which tensor cores are wanted, and wide accesses matter less."""
NARROW = 4.0
"""Bytes of a thread's access to global memory up to which it is narrow."""
_MANGLED = re.compile(r"_Z(\d{1,3})(?=\D)")
_HALF = frozenset({"float16", "bfloat16"})


def _called(kernel: GpuKernel) -> str:
    """A kernel's name without C++'s mangling, where it is a plain one."""
    mangled = _MANGLED.match(kernel.name)
    return kernel.name[mangled.end() :][: int(mangled[1])] if mangled else kernel.name


def _loops(facts: Facts) -> list[tuple[GpuKernel, GpuLoop]]:
    return [(kernel, kernel.loop) for kernel in facts.kernels if kernel.loop is not None]


def _dense(facts: Facts) -> bool:
    return facts.flops >= DENSE * max(1, facts.bytes_required)


def double(facts: Facts) -> list[str] | None:
    """Double precision in a hot loop, where no tensor has it."""
    if "float64" in facts.dtypes:
        return None
    return [
        f"{loop.place}: {loop.double} of {loop.instructions} instructions of {_called(kernel)}'s hot loop are in "
        "double precision, and no tensor is: look for literals without f, and for functions that take doubles"
        for kernel, loop in _loops(facts)
        if loop.double
    ] or None


def tensor_cores(facts: Facts) -> list[str] | None:
    """Products of matrices in half precision, and no kernel has tensor cores make them."""
    halves, loops = sorted(facts.dtypes & _HALF), _loops(facts)
    if not loops or not halves or not _dense(facts) or any(loop.tensor for _, loop in loops):
        return None
    kernel, loop = max(loops, key=lambda pair: pair[1].single)
    return [
        f"{loop.place}: {facts.flops / max(1, facts.bytes_required):.0f} operations for each byte, of "
        f"{', '.join(halves)}, and {_called(kernel)}'s hot loop multiplies one by one ({loop.single} instructions) on "
        f"{kernel.target}"
    ]


def resident(facts: Facts) -> list[str] | None:
    """Few warps."""
    return [
        f"{_called(k)}: at most {k.occupancy:.0%} of {k.target}'s warps are resident, held down by {k.limit} "
        f"({k.registers} registers a thread, {k.shared_bytes} bytes of shared memory a block)"
        for k in facts.kernels
        if k.occupancy is not None and k.occupancy < RESIDENT
    ] or None


def narrow(facts: Facts) -> list[str] | None:
    """Global memory read or written a few bytes at a time, where moving is what there is to do."""
    if _dense(facts):
        return None
    lines = []
    for kernel, loop in _loops(facts):
        count, moved = loop.loads + loop.stores, loop.load_bytes + loop.store_bytes
        if count and moved <= NARROW * count and not loop.tensor and loop.shared <= count:
            lines.append(
                f"{loop.place}: a thread of {_called(kernel)} moves {moved / count:.3g} bytes with each of its {count} "
                "accesses to global memory; it can move 16"
            )
    return lines or None
