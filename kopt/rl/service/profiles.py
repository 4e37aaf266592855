"""A profile as a client is told it: the one bottleneck and what to do, then the facts, short."""

from __future__ import annotations

from typing import Any

from kopt.agents.methods import METHODS
from kopt.rl.service.answers import line, number
from kopt.words import GpuKernel, HotLoop, OperatorTime, Profile, to_json

_MOST_LOOPS, _MOST_OPERATORS, _MOST_KERNELS, _MOST_REMARKS, _MOST_ASSEMBLY = 2, 8, 8, 3, 40
_COUNTS = ("packed", "scalar", "memory", "strided", "indirect", "gathers", "divisions", "spills")


def profile(found: Profile) -> dict[str, Any]:
    """Bottleneck, evidence and method; times in seconds per call; hottest loops, costliest operators first."""
    bottleneck = found.bottleneck
    answer: dict[str, Any] = {
        "bottleneck": bottleneck.name.value,
        "evidence": [line(one) for one in bottleneck.evidence],
        "method": METHODS[bottleneck.name],
        "workload": found.workload,
    }
    for name, seconds in (
        ("seconds_per_call", found.seconds),
        ("seconds_of_an_empty_call", found.empty_seconds),
    ):
        if seconds is not None:
            answer[name] = number(seconds)
    if found.cores is not None:
        answer["cores_used"] = f"{found.cores:.2g} of {found.threads}"
    if found.roofline is not None:
        answer["roofline"] = {"percent": round(found.roofline.percent, 1), "limit": found.roofline.limit}
    for name, rows in (
        ("loops", [_loop(one) for one in found.loops[:_MOST_LOOPS]]),
        ("reference_operators", [_operator(one) for one in found.operators[:_MOST_OPERATORS]]),
        ("kernels", [_kernel(one) for one in found.kernels[:_MOST_KERNELS]]),
        ("notes", [line(one) for one in found.notes[:3]]),
    ):
        if rows:
            answer[name] = rows
    return answer


def _loop(loop: HotLoop) -> dict[str, Any]:
    counts = {name: count for name in _COUNTS if (count := getattr(loop, name))}
    return {
        "place": line(loop.place),
        "function": line(loop.function),
        "vector_bytes": loop.vector_bytes,
        "instructions": loop.instructions,
        **counts,
        "calls": [line(one) for one in loop.calls[:_MOST_REMARKS]],
        "remarks": [line(one) for one in loop.remarks[:_MOST_REMARKS]],
        "assembly": [line(one) for one in loop.assembly[:_MOST_ASSEMBLY]],
    }


def _operator(one: OperatorTime) -> dict[str, Any]:
    return {
        "name": line(one.name),
        "calls": one.calls,
        "bytes": one.bytes,
        "seconds": number(one.seconds),
        "share": round(one.share, 3),
    }


def _kernel(one: GpuKernel) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "name": line(one.name),
        "target": one.target,
        "registers": one.registers,
        "spill_bytes": one.spill_bytes,
        "shared_bytes": one.shared_bytes,
    }
    if one.occupancy is not None:
        answer |= {"occupancy": round(one.occupancy, 3), "limit": line(one.limit)}
    if one.loop is not None:
        loop = to_json(one.loop)
        answer["loop"] = {name: count for name, count in loop.items() if isinstance(count, int) and count}
        answer["loop"] |= {
            "place": line(one.loop.place),
            "assembly": [line(code) for code in one.loop.assembly[:_MOST_ASSEMBLY]],
        }
    return answer
