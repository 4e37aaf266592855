"""How far the accesses of a loop step from one pass to the next, by symbolic addition over its registers.

Each register's change in one pass is a number, ``HELD`` (a step that another register holds and that the code does
not tell), ``LOADED`` (it comes from memory, so the address is an index read from a table) or unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kopt.verifiers.profile.listing import Instruction

LINE = 64
"""Bytes of a cache line."""
HELD, LOADED = "held", "loaded"
Step = int | str | None

_SIZES = {"BYTE": 1, "WORD": 2, "DWORD": 4, "QWORD": 8, "XMMWORD": 16, "YMMWORD": 32, "ZMMWORD": 64}
_MEMORY = re.compile(r"(?:([A-Z]{4,7}) (?:PTR|BCST) )?(?:[a-z]s:)?\[([^\]]{1,80})\]")
_TERM = re.compile(r"([+-]?)(?:([a-z][a-z0-9]{1,4})(?:\*([1248]))?|(0x[0-9a-f]{1,16}))")
_NUMBER = re.compile(r"-?0x[0-9a-f]{1,16}")
_LOW = {
    name: f"r{letter}{tail}"
    for letter, tail in [*((x, "x") for x in "abcd"), ("s", "i"), ("d", "i"), ("b", "p"), ("s", "p")]
    for name in (f"e{letter}{tail}",)
}


@dataclass(frozen=True)
class Place:
    """A memory operand: base and index register, scale, displacement, bytes accessed."""

    base: str
    index: str
    scale: int
    displacement: int
    size: int

    @property
    def on_stack(self) -> bool:
        """Whether it lies in the function's own frame; ``rbp`` is a frame's register below its value only."""
        return self.base == "rsp" or (self.base == "rbp" and not self.index and self.displacement < 0)


def whole(register: str) -> str:
    """The 64-bit register that this is a part of."""
    if re.fullmatch(r"r\d{1,2}[dwb]", register):
        return register[:-1]
    return _LOW.get(register, register)


def place(operands: str) -> Place | None:
    """The memory operand of an instruction in Intel syntax, None when there is none or it is of another form."""
    found = _MEMORY.search(operands)
    if not found:
        return None
    base, index, scale, displacement = "", "", 1, 0
    for sign, register, factor, number in _TERM.findall(found[2]):
        if number:
            displacement += int(number, 16) * (-1 if sign == "-" else 1)
        elif factor and factor != "1":
            index, scale = whole(register), int(factor)
        elif not base:
            base = whole(register)
        else:
            index, scale = whole(register), int(factor or 1)
    if displacement >= 1 << 63:
        displacement -= 1 << 64
    return Place(base, index, scale, displacement, _SIZES.get(found[1] or "", 0))


class Steps:
    """The registers of one loop."""

    def __init__(self, code: Sequence[Instruction]) -> None:
        self._writers: dict[str, list[Instruction]] = {}
        for instruction in code:
            first = instruction.operands.partition(",")[0].strip()
            if "[" not in first and _writes(instruction.mnemonic):
                self._writers.setdefault(whole(first), []).append(instruction)

    def of(self, where: Place) -> Step:
        """How far the address moves in a pass."""
        return self._add(self._register(where.base, 4), self._register(where.index, 4), where.scale)

    @staticmethod
    def _add(base: Step, index: Step, scale: int) -> Step:
        if LOADED in (base, index):
            return LOADED
        if base is None or index is None:
            return None
        if isinstance(base, str) or isinstance(index, str):
            return HELD
        return base + scale * index

    def _register(self, register: str, patience: int) -> Step:
        writers = self._writers.get(register, []) if register not in ("", "rip", "rsp") else []
        if not writers:
            return 0
        if patience == 0 or len(writers) > 8:
            return None
        if len(writers) == 1:
            return self._single(register, writers[0], patience - 1)
        steps = [self._increment(register, writer) for writer in writers]
        total = 0
        for step in steps:
            if not isinstance(step, int):
                return step
            total += step
        return total

    def _single(self, register: str, writer: Instruction, patience: int) -> Step:
        step = self._increment(register, writer)
        if step is not None:
            return step
        _, _, source = writer.operands.partition(",")
        where = place(source)
        if writer.mnemonic == "lea" and where is not None:
            if register in (where.base, where.index):
                return None
            base = self._register(where.base, patience)
            return self._add(base, self._register(where.index, patience), where.scale)
        if writer.mnemonic.startswith("mov"):
            if where is not None:
                return None if where.on_stack else LOADED
            return self._register(whole(source.strip()), patience)
        return None

    def _increment(self, register: str, writer: Instruction) -> Step:
        """The step of ``register += something``, None for any other instruction."""
        source = writer.operands.partition(",")[2].strip()
        if writer.mnemonic in ("inc", "dec"):
            return 1 if writer.mnemonic == "inc" else -1
        if writer.mnemonic in ("add", "sub"):
            if _NUMBER.fullmatch(source):
                value = int(source, 16)
                value -= 1 << 64 if value >= 1 << 63 else 0
                return value if writer.mnemonic == "add" else -value
            return HELD if "[" not in source and whole(source) not in self._writers else None
        if writer.mnemonic == "lea":
            where = place(source)
            if where is None or register not in (where.base, where.index):
                return None
            other = where.index if where.base == register else where.base
            if other:
                return HELD if other != register and other not in self._writers and where.scale == 1 else None
            return where.displacement if where.base == register else None
        return None


def _writes(mnemonic: str) -> bool:
    return not mnemonic.startswith(("cmp", "test", "j", "call", "push", "nop", "prefetch", "bt"))
