"""Which loop of a GPU kernel is hot, and what it consists of: global memory and its width, tensor cores, precision.

Names of instructions are those of NVIDIA's "CUDA Binary Utilities" (instruction sets of Turing to Blackwell).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from kopt.verifiers.profile import sass
from kopt.verifiers.profile.listing import Function, Instruction
from kopt.verifiers.profile.loops import Loop, innermost
from kopt.words import GpuLoop

SHOWN = 60
"""Instructions of one loop that are kept."""
_INNER = 4.0
_TENSOR = re.compile(r"(UTC)?[HIDBQO]G?MMA")
_WIDTH = re.compile(r"\.(?:[US]?(8|16|64|128|256))\b")
_SHARED = ("LDS", "STS", "LDSM", "STSM", "ATOMS", "LDGSTS")
_LOCAL = ("LDL", "STL")
_LOADS, _STORES = ("LDG", "LD", "LDGSTS"), ("STG", "ST", "RED", "ATOMG")
_BULK_LOADS, _BULK_STORES = ("UTMALDG", "UBLKCP"), ("UTMASTG", "UTMAREDG")
_BULK = 16
_SINGLE = ("FADD", "FMUL", "FFMA", "FMNMX", "HADD2", "HMUL2", "HFMA2", "HMNMX2", "FADD2", "FMUL2", "FFMA2")
_DOUBLE = ("DADD", "DMUL", "DFMA", "DSETP", "DMNMX")
_CONVERTED = ("F2F", "I2F", "F2I", "MUFU")
_BARRIERS = ("BAR", "SYNCS")
_WORK = ("loads", "stores", "shared", "local", "tensor", "single", "double", "special")


def _bytes(name: str) -> int:
    """How wide one access of a thread is: 32 bits unless told."""
    widths = [int(bits) // 8 for bits in _WIDTH.findall(name.replace("LTC128B", ""))]
    return widths[-1] if widths else 4


def mix(code: Sequence[Instruction]) -> Counter[str]:
    """Counts over one pass of a thread, by the names of :class:`kopt.words.GpuLoop`."""
    found: Counter[str] = Counter()
    for instruction in code:
        _, name = sass.operation(instruction)
        base = name.partition(".")[0]
        wide = "64" in name and base in _CONVERTED  # 64H, F64: halves of doubles, or conversions from them
        if base in _LOADS or base in _BULK_LOADS:
            found["loads"] += 1
            found["load_bytes"] += _BULK if base in _BULK_LOADS else _bytes(name)
        elif base in _STORES or base in _BULK_STORES:
            found["stores"] += 1
            found["store_bytes"] += _BULK if base in _BULK_STORES else _bytes(name)
        found["shared"] += base in _SHARED
        found["local"] += base in _LOCAL
        found["tensor"] += bool(_TENSOR.fullmatch(base))
        found["single"] += base in _SINGLE and "RZ, RZ" not in instruction.operands  # which makes constants
        found["double"] += base in _DOUBLE or wide
        found["special"] += base == "MUFU" and not wide
        found["barriers"] += base in _BARRIERS
    return found


def _weight(found: Counter[str]) -> int:
    """How much work a pass is: a tensor core's instruction counts as eight."""
    return sum(found[name] for name in _WORK) + 7 * found["tensor"]


def hot(function: Function) -> GpuLoop | None:
    """The heaviest innermost loop, or the whole of a kernel that has none."""
    loops = innermost(function, sass.flow)
    weighed = [(mix(loop.code), loop) for loop in loops]
    working = [
        (found, loop) for found, loop in weighed if found["loads"] or found["stores"] or found["tensor"]
    ]
    working = working or [(found, loop) for found, loop in weighed if _weight(found)]
    if not working:
        whole = Loop(function.name, 0, function.instructions)
        working = [(mix(whole.code), whole)]
    found, loop = max(working, key=lambda pair: _weight(pair[0]) * _INNER ** max(0, pair[1].depth - 1))
    return _told(found, loop) if _weight(found) else None


def _told(found: Counter[str], loop: Loop) -> GpuLoop:
    places: dict[str, list[int]] = {}
    for instruction in loop.code:
        if instruction.file:
            places.setdefault(instruction.file, []).append(instruction.line)
    file = max(places, key=lambda name: len(places[name]), default="")
    lines = (min(places[file]), max(places[file])) if file else (0, 0)
    code = [str(one)[:160] for one in loop.code]
    left = len(code) - SHOWN
    shown = code if left <= 0 else [*code[: SHOWN - 1], f"... and {left + 1} more instructions"]
    return GpuLoop(
        file=file,
        lines=lines,
        depth=loop.depth,
        instructions=len(loop.code),
        assembly=tuple(shown),
        **found,
    )
