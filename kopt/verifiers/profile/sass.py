"""Read the machine code of GPU kernels as nvdisasm lists it, within bounds: anybody may have written these words."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from kopt.verifiers.profile.listing import Function, Instruction, Reader, raw

_SECTION = re.compile(r"\s*\.section\s+\.text\.([\w$.]{1,400}),.{0,100}")
_LABEL = re.compile(r"(\.L_x_\d{1,6}):")
_PLACE = re.compile(r'//## File "([^"]{1,400})", line (\d{1,7})')
# No part may take what the next could take as well: whoever wrote the text may have wished for a line of spaces.
_CODE = re.compile(r"\s*/\*([0-9a-f]{1,8})\*/\s([^;\n]{1,320});.{0,40}")
_GOAL = re.compile(r"`\((\.L_x_\d{1,6})\)")
_HEX = re.compile(r"(?:.{0,40}, )?0x([0-9a-f]{1,8})")
_ENDS = ("EXIT", "RET", "BRX", "JMX", "KILL")
_JUMPS = ("BRA", "JMP")


def read(artifact: bytes | None, sources: Collection[str]) -> tuple[Function, ...]:
    """The kernels of a profiled build; what does not have the form it must have is left out."""
    return functions(raw(artifact), sources)


@dataclass
class _Nvdisasm(Reader):
    labels: dict[str, int] = field(default_factory=dict)
    open_labels: list[str] = field(default_factory=list)

    def flush(self) -> None:
        self.code = [self._resolved(one) for one in self.code]
        super().flush()
        self.labels, self.open_labels = {}, []

    def _resolved(self, one: Instruction) -> Instruction:
        """With addresses for labels, as far as these are in the same kernel."""

        def address(found: re.Match[str]) -> str:
            return f"0x{self.labels[found[1]]:x}" if found[1] in self.labels else found[1]

        return replace(one, operands=_GOAL.sub(address, one.operands)) if "`" in one.operands else one

    def take(self, line: str) -> None:
        if code := _CODE.fullmatch(line):
            self._add(int(code[1], 16), code[2])
        elif section := _SECTION.fullmatch(line):
            self.flush()
            self.name = section[1]
        elif label := _LABEL.fullmatch(line):
            self.open_labels.append(label[1])
        elif place := _PLACE.fullmatch(line):
            self.at(place[1], place[2])
        elif line.startswith("//##"):
            self.place = ("", 0)

    def _add(self, address: int, text: str) -> None:
        for label in self.open_labels:
            self.labels[label] = address
        self.open_labels = []
        words = text.split()
        if not words:
            return
        head = 2 if words[0].startswith("@") and len(words) > 1 else 1
        self.keep(address, " ".join(words[:head]), " ".join(words[head:]))


def functions(lines: Iterable[str], sources: Collection[str]) -> tuple[Function, ...]:
    """Kernels, their instructions in order; a predicate is part of the mnemonic (``@!P0 BRA``)."""
    return tuple(f for f in _Nvdisasm(sources).read(lines) if f.name)


def operation(instruction: Instruction) -> tuple[str, str]:
    """The predicate, or nothing, and the operation with its modifiers."""
    head, _, rest = instruction.mnemonic.partition(" ")
    return (head, rest) if rest else ("", head)


def flow(instruction: Instruction) -> tuple[int | None, bool]:
    """Where it may jump to, and whether it never goes on: see :data:`kopt.verifiers.profile.loops.Flow`."""
    predicate, name = operation(instruction)
    base = name.partition(".")[0]
    if base in _ENDS:
        return None, not predicate
    if base not in _JUMPS:
        return None, False
    found = _HEX.fullmatch(instruction.operands)
    conditional = bool(predicate) or "," in instruction.operands  # a uniform predicate is an operand
    return int(found[1], 16) if found else None, not conditional
