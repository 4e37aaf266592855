"""Read what a profiled build said: remarks and disassembly, as bounded values. Everything in them may be forged."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from kopt.sandbox.errors import ProtocolViolation
from kopt.sandbox.messages import parse

MOST_BYTES = 8 << 20
_MOST_LINES, _MOST_INSTRUCTIONS = 120_000, 60_000
_MOST_REMARKS = 400
_LONGEST = 500

_HEAD = re.compile(r"[0-9a-f]{1,16} <(.{1,400})>:")
_PLACE = re.compile(r"(\S.{0,300}):(\d{1,7})(?: \(discriminator \d{1,9}\))?")
_CODE = re.compile(r" {0,8}([0-9a-f]{1,16}):\t(.{1,300})")
_PREFIXES = frozenset(
    ["rep", "repz", "repnz", "lock", "bnd", "notrack", "data16", "cs", "ds", "{evex}", "{vex}"]
)
_REMARK = re.compile(r"([^\s:][^:]{0,300}):(\d{1,7}):\d{1,7}: (optimized|missed): (.{1,300})")


@dataclass(frozen=True)
class Instruction:
    """One instruction; ``file`` and ``line`` of the source it was made for, empty and 0 where that is not known."""

    address: int
    mnemonic: str
    operands: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.mnemonic} {self.operands}".rstrip()


@dataclass(frozen=True)
class Function:
    """One function of the disassembly, its instructions in order of address."""

    name: str
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True)
class Remark:
    """What the vectoriser said of one place."""

    file: str
    line: int
    missed: bool
    text: str


@dataclass(frozen=True)
class Listing:
    """All of it."""

    functions: tuple[Function, ...] = ()
    remarks: tuple[Remark, ...] = ()


def read(artifact: bytes | None, sources: Collection[str]) -> Listing:
    """A profiled build's artefact; what does not have the form it must have is left out."""
    found = _parsed(artifact)
    return Listing(
        functions(text_lines(found.get("assembly")), sources),
        remarks(text_lines(found.get("remarks")), sources),
    )


def raw(artifact: bytes | None) -> list[str]:
    """The lines of a profiled build's listing, as they are."""
    found = _parsed(artifact)
    return text_lines(found.get("assembly")) or text_lines(found.get("sass"))


def _parsed(artifact: bytes | None) -> dict[str, Any]:
    if not artifact or len(artifact) > MOST_BYTES:
        return {}
    try:
        return parse(artifact)
    except ProtocolViolation:
        return {}


def text_lines(found: Any) -> list[str]:
    """What is text in a list, so much of it as is read."""
    if not isinstance(found, list):
        return []
    return [line[:_LONGEST] for line in found[:_MOST_LINES] if isinstance(line, str)]


def own(path: str, sources: Collection[str]) -> str:
    """The candidate's name of a file, empty where it is not one of its files."""
    fitting = [name for name in sources if path in (name, f"./{name}") or path.endswith(f"/{name}")]
    return max(fitting, key=len, default="")


def remarks(lines: Iterable[str], sources: Collection[str]) -> tuple[Remark, ...]:
    """The vectoriser's remarks on the candidate's own files, in order, each once."""
    kept: dict[Remark, None] = {}
    for line in lines:
        found = _REMARK.fullmatch(line)
        file = own(found[1], sources) if found else ""
        if found and file and len(kept) < _MOST_REMARKS:
            kept[Remark(file, int(found[2]), found[3] == "missed", found[4])] = None
    return tuple(kept)


@dataclass
class Reader:
    """Gathers functions from a disassembler's lines; what a line is, :meth:`take` says."""

    sources: Collection[str]
    done: list[Function] = field(default_factory=list)
    name: str = ""
    code: list[Instruction] = field(default_factory=list)
    place: tuple[str, int] = ("", 0)
    count: int = 0
    files: dict[str, str] = field(default_factory=dict)

    def read(self, lines: Iterable[str]) -> tuple[Function, ...]:
        """All functions, in order."""
        for line in lines:
            self.take(line)
        self.flush()
        return tuple(self.done)

    def take(self, line: str) -> None:
        """Read one line."""
        raise NotImplementedError

    def flush(self) -> None:
        """End a function, if one has begun."""
        if self.code:
            self.done.append(Function(self.name, tuple(self.code)))
        self.code, self.place = [], ("", 0)

    def at(self, path: str, line: str) -> None:
        """What follows was made for this line, if it is the candidate's own."""
        file = self.files.setdefault(path, own(path, self.sources))
        self.place = (file, int(line)) if file else ("", 0)

    def keep(self, address: int, mnemonic: str, operands: str) -> None:
        """One more instruction of the function, within bounds; no disassembler goes back."""
        if (not self.code or address > self.code[-1].address) and self.count < _MOST_INSTRUCTIONS:
            self.count += 1
            self.code.append(Instruction(address, mnemonic, operands, *self.place))


class _Objdump(Reader):
    def take(self, line: str) -> None:
        code = _CODE.fullmatch(line)
        if code:
            self._add(int(code[1], 16), code[2])
        elif head := _HEAD.fullmatch(line):
            self.flush()
            self.name = head[1]
        elif place := _PLACE.fullmatch(line):
            self.at(place[1], place[2])

    def _add(self, address: int, text: str) -> None:
        words = text.partition("#")[0].split()
        while len(words) > 1 and words[0] in _PREFIXES:
            words.pop(0)
        if words:
            self.keep(address, words[0], " ".join(words[1:]))


def functions(lines: Iterable[str], sources: Collection[str]) -> tuple[Function, ...]:
    """Functions as objdump writes them (``-d -l -C -M intel``), without those it lays aside as cold."""
    return tuple(f for f in _Objdump(sources).read(lines) if ".cold" not in f.name)
