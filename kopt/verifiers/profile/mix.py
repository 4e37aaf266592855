"""What a loop consists of: arithmetic packed and scalar, memory accesses and how they step, divisions, calls.

Costs are rough: reciprocal throughputs of recent x86 cores, of the order that Agner Fog's instruction tables and
uops.info give, enough to tell whether divisions can be half of a loop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kopt.verifiers.profile.addresses import HELD, LINE, LOADED, Place, Steps, place
from kopt.verifiers.profile.listing import Instruction

_VECTOR = re.compile(r"\b([xyz])mm\d")
_BYTES = {"x": 16, "y": 32, "z": 64}
_MOVES = (
    "mov",
    "lddqu",
    "broadcast",
    "unpck",
    "shuf",
    "perm",
    "insert",
    "extract",
    "blend",
    "compress",
    "expand",
)
_LOGIC = ("and", "or", "xor", "andn", "ternlog", "pand", "por", "pxor", "pternlog", "zero")
_ALSO_SCALAR = (*_LOGIC, "cvt", "blend", "unpck", "movd", "movq")
_SCALAR, _PACKED = ("ss", "sd", "sh"), ("ps", "pd", "ph")
_CALLED = re.compile(r"[0-9a-f]{1,16} <(.{1,200})>")
_VECTOR_FUNCTION = "_ZGV"
"""What compilers call the versions of mathematical functions that take vectors."""
_COMMON = 0.5
_CALL_COST = 20.0
_MOST_CALLS = 8


@dataclass
class Mix:
    """Counts over one pass of a loop; see :class:`kopt.words.HotLoop`."""

    instructions: int = 0
    vector_bytes: int = 0
    packed: int = 0
    scalar: int = 0
    memory: int = 0
    strided: int = 0
    indirect: int = 0
    gathers: int = 0
    streaming: int = 0
    divisions: int = 0
    spills: int = 0
    cycles: float = 0.0
    division_cycles: float = 0.0
    calls: dict[str, None] = field(default_factory=dict)

    @property
    def weight(self) -> float:
        """How much work a pass is: arithmetic and memory instructions, calls for what they stand for."""
        return self.packed + self.scalar + self.memory + self.gathers + _CALL_COST * len(self.calls)


def of(code: Sequence[Instruction]) -> Mix:
    """Count."""
    mix, steps = Mix(), Steps(code)
    touched: dict[tuple[str, str, int], list[Place]] = {}
    for instruction in code:
        _count(mix, instruction)
        where = place(instruction.operands)
        if where is None or instruction.mnemonic.startswith(("lea", "nop", "prefetch", "call", "j")):
            continue
        if where.on_stack:
            mix.spills += 1
            continue
        mix.memory += 1
        touched.setdefault((where.base, where.index, where.scale), []).append(where)
    for places in touched.values():
        step = steps.of(places[0])
        if step == LOADED:
            mix.indirect += len(places)
        elif _strided(step, places):
            mix.strided += len(places)
    return mix


def _strided(step: int | str | None, places: Iterable[Place]) -> bool:
    """Whether most of each cache line is passed over."""
    covered = {byte for p in places for byte in range(p.displacement, p.displacement + min(p.size, LINE))}
    if step == HELD:
        return 0 < len(covered) <= 8  # an element at a time, at a distance that is no constant
    return isinstance(step, int) and abs(step) >= LINE and 4 * len(covered) <= abs(step)


def _count(mix: Mix, instruction: Instruction) -> None:
    mix.instructions += 1
    name, operands = instruction.mnemonic, instruction.operands
    if name == "call":
        found = _CALLED.match(operands)
        called = _plain(found[1]) if found else "(through a pointer)"
        if len(mix.calls) < _MOST_CALLS and not called.startswith(_VECTOR_FUNCTION):
            mix.calls[called] = None
        mix.cycles += _CALL_COST
        return
    widths = [_BYTES[letter] for letter in _VECTOR.findall(operands)]
    width = max(widths, default=0)
    short = name.removeprefix("v")
    cost = _COMMON
    if short.startswith(("div", "sqrt", "idiv")):
        mix.divisions += 1
        cost = _division(short, width)
        mix.division_cycles += cost
    mix.cycles += cost
    if not widths:
        mix.scalar += name.startswith("f") and not name.startswith(("fs", "fx"))  # x87
        return
    if short.startswith(("gather", "pgather", "scatter", "pscatter")):
        mix.gathers += 1
        mix.vector_bytes = max(mix.vector_bytes, width)
        return
    mix.streaming += short.startswith("movnt")
    moves = short.startswith(_MOVES)
    if short.endswith(_SCALAR) and not short.startswith("p"):
        mix.scalar += not moves
        return
    if width == 16 and short.startswith(_ALSO_SCALAR):
        return  # the sign of one number, its conversion, a choice between two: no sign of vectors
    mix.vector_bytes = max(mix.vector_bytes, width)
    mix.packed += short.endswith(_PACKED) and not moves


def _division(short: str, width: int) -> float:
    if short.startswith("idiv") or not width:
        return 12.0
    lanes = 1 if short.endswith(_SCALAR) else width // 16
    double = 2.0 if short.endswith(("sd", "pd")) else 1.0
    return max(4.0, 3.0 * lanes) * double


def _plain(name: str) -> str:
    """A called function's name, without the linker's additions."""
    return re.sub(r"(@.*|\+0x[0-9a-f]+$)", "", name)
