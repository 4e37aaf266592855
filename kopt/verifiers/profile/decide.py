"""From facts to exactly one bottleneck: a list of rules, the first that holds names it (docs/profile.md).

Measured facts come first, for they are certain: what a call costs when nothing is done, the share of the machine's
bandwidth or arithmetic, threads that stand by. Then what the hot loop's code shows, the most specific first: a call or
a gather is also why a loop is not vectorised, so they come before it.
"""

from __future__ import annotations

from collections.abc import Callable

from kopt.verifiers.profile import gpu_rules
from kopt.verifiers.profile.facts import Facts
from kopt.words import Bottleneck, BottleneckName

HALF = 0.5
"""Launching, bandwidth, arithmetic and division are named when they account for this share of the time."""
IDLE = 0.55
"""Threads are idle when fewer than this share of them do the work."""
WORTH_FORKING = 30e-6
"""Seconds below which waking threads costs about what they would save."""
PASSES = 2.0
"""Operators that move this many times the bytes that any implementation must."""
OFTEN = 1 / 3
"""The share of a loop's memory accesses, or spills among its instructions, that counts as many."""
MOST_EVIDENCE = 3

Rule = Callable[[Facts], list[str] | None]


def decide(facts: Facts) -> Bottleneck:
    """The first rule that holds."""
    for name, rule in RULES:
        evidence = rule(facts)
        if evidence:
            return Bottleneck(name=name, evidence=tuple(line[:300] for line in evidence[:MOST_EVIDENCE]))
    return Bottleneck(name=BottleneckName.NONE_FOUND, evidence=(_none(facts),))


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} us"


def _launch(facts: Facts) -> list[str] | None:
    if not facts.seconds:
        return None
    if facts.empty_seconds and facts.empty_seconds >= HALF * facts.seconds:
        return [
            f"a call takes {_time(facts.seconds)}, and {_time(facts.empty_seconds)} when the kernel does nothing: "
            "arguments and threads, not the work"
        ]
    calls = sum(count for count, _ in facts.own)
    if calls * facts.dispatch >= HALF * facts.seconds:
        return [
            f"{calls} operators take {_time(facts.seconds)}; calling any operator takes {_time(facts.dispatch)} here, "
            f"together {_time(calls * facts.dispatch)}"
        ]
    return None


def _bandwidth(facts: Facts) -> list[str] | None:
    roofline = facts.roofline
    if roofline is None or roofline.limit != "memory" or roofline.percent < 100 * HALF:
        return None
    lines = [
        f"moving the {facts.bytes_required / 1e6:.3g} MB that it must takes {_time(roofline.bound_seconds)} at "
        f"{roofline.bandwidth / 1e9:.3g} GB/s: {roofline.percent:.0f} % of its time"
    ]
    loop = facts.hot
    if loop is not None and loop.vector_bytes and not loop.streaming and roofline.percent < 80:
        lines.append(
            f"{loop.place}: plain stores read each cache line that they write; streaming stores do not"
        )
    return lines


def _arithmetic(facts: Facts) -> list[str] | None:
    roofline = facts.roofline
    if roofline is None or roofline.limit != "arithmetic" or roofline.percent < 100 * HALF:
        return None
    return [
        f"its {facts.flops:.3g} operations take {_time(roofline.bound_seconds)} at {roofline.flops / 1e9:.3g} Gflop/s: "
        f"{roofline.percent:.0f} % of its time"
    ]


def _parallelism(facts: Facts) -> list[str] | None:
    if facts.cores is None or not facts.seconds or facts.seconds < WORTH_FORKING:
        return None
    if facts.threads < 2 or facts.cores >= IDLE * facts.threads:
        return None
    return [
        f"the work of {facts.cores:.2g} threads, where {facts.threads} may run ({_time(facts.seconds)} a call)"
    ]


def _traffic(facts: Facts) -> list[str] | None:
    moved = sum(size for _, size in facts.own)
    if not facts.bytes_required or moved < PASSES * facts.bytes_required:
        return None
    lines = [
        f"its {sum(count for count, _ in facts.own)} operators move {moved / 1e6:.3g} MB, "
        f"{moved / facts.bytes_required:.1f} times what any implementation must"
    ]
    costly = [one for one in facts.operators if one.share >= 0.1][:2]
    return [*lines, *(f"{one.name}: {one.share:.0%} of the reference's time" for one in costly)]


def _calls(facts: Facts) -> list[str] | None:
    loop = facts.hot
    if loop is None or not loop.calls:
        return None
    return [
        f"{loop.place}: the hot loop calls {', '.join(loop.calls[:4])} in every pass",
        *loop.remarks[:1],
    ]


def _gather(facts: Facts) -> list[str] | None:
    loop = facts.hot
    if loop is None or not (loop.gathers or loop.indirect >= max(1.0, OFTEN * loop.memory)):
        return None
    lines = [f"{loop.place}: {loop.gathers} gathers or scatters in the hot loop"] if loop.gathers else []
    if loop.indirect:
        lines.append(
            f"{loop.place}: {loop.indirect} of {loop.memory} memory accesses of the hot loop go to an address that "
            "was loaded first"
        )
    return lines


def _stride(facts: Facts) -> list[str] | None:
    loop = facts.hot
    if loop is None or not loop.strided or loop.strided < OFTEN * loop.memory:
        return None
    lines = [
        f"{loop.place}: {loop.strided} of {loop.memory} memory accesses of the hot loop step over most of each "
        "cache line"
    ]
    misses, references = facts.counters.get("cache_misses"), facts.counters.get("cache_references")
    if misses and references:
        lines.append(f"{misses / references:.0%} of the last-level cache's references miss")
    return lines


def _spills(facts: Facts) -> list[str] | None:
    for kernel in facts.kernels:
        if kernel.spill_bytes:
            return [
                f"{kernel.name}: {kernel.spill_bytes} bytes of registers are spilled to memory and read back, "
                f"with {kernel.registers} registers a thread on {kernel.target}"
            ]
    loop = facts.hot
    if loop is None or loop.spills < OFTEN * loop.instructions:
        return None
    return [
        f"{loop.place}: {loop.spills} of {loop.instructions} instructions of the hot loop go to the stack: more "
        "values are live than there are registers"
    ]


def _scalar(facts: Facts) -> list[str] | None:
    loop = facts.hot
    if loop is None or (loop.vector_bytes and loop.packed >= loop.scalar):
        return None
    arithmetic = loop.packed + loop.scalar
    counted = (
        f"{loop.packed} of {arithmetic} floating-point instructions are packed"
        if arithmetic
        else "no vectors"
    )
    return [
        f"{loop.place}: {counted} in the hot loop; registers of {facts.vector_bytes} bytes are there",
        *[remark for remark in loop.remarks if ": missed: " in remark][:2],
    ]


def _division(facts: Facts) -> list[str] | None:
    loop = facts.hot
    if loop is None or loop.division_cycles < HALF * loop.cycles or not loop.divisions:
        return None
    return [
        f"{loop.place}: {loop.divisions} divisions or square roots take about {loop.division_cycles:.0f} of the "
        f"{loop.cycles:.0f} cycles of a pass through the hot loop"
    ]


def _none(facts: Facts) -> str:
    parts = []
    if facts.roofline is not None:
        parts.append(f"{facts.roofline.percent:.0f} % of what {facts.roofline.limit} allows")
    if facts.cores is not None:
        parts.append(f"{facts.cores:.2g} of {facts.threads} threads at work")
    if facts.hot is not None:
        parts.append(f"hot loop {facts.hot.place} with vectors of {facts.hot.vector_bytes} bytes")
    if facts.kernels:
        parts.append("no spills, and enough warps are resident")
    return "; ".join(parts) or "nothing is known that would tell"


RULES: tuple[tuple[BottleneckName, Rule], ...] = (
    (BottleneckName.LAUNCH_OVERHEAD, _launch),
    (BottleneckName.MEMORY_BANDWIDTH, _bandwidth),
    (BottleneckName.ARITHMETIC, _arithmetic),
    (BottleneckName.PARALLELISM, _parallelism),
    (BottleneckName.MEMORY_TRAFFIC, _traffic),
    (BottleneckName.CALL_IN_LOOP, _calls),
    (BottleneckName.GATHER, _gather),
    (BottleneckName.CACHE_MISSES_BY_STRIDE, _stride),
    (BottleneckName.REGISTER_SPILLS, _spills),
    (BottleneckName.NOT_VECTORISED, _scalar),
    (BottleneckName.DIVISION, _division),
    (BottleneckName.DOUBLE_PRECISION, gpu_rules.double),
    (BottleneckName.NO_TENSOR_CORES, gpu_rules.tensor_cores),
    (BottleneckName.OCCUPANCY, gpu_rules.resident),
    (BottleneckName.NARROW_ACCESS, gpu_rules.narrow),
)
