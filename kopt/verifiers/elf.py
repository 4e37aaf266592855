"""What a shared object asks of the dynamic linker, read from bytes that anybody may have made.

Followed is what the linker itself follows (System V ABI; glibc's ``elf/dl-load.c``, ``elf/dl-reloc.c``): program
headers, the dynamic segment, and the symbols that relocations name. Hash tables and section headers, which the linker
does not need in order to resolve imports, only ever add symbols. Every read is bounded, and so is their sum.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_HEADER = struct.Struct("<4sBBB9xHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_DYNAMIC = struct.Struct("<QQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_HASH = struct.Struct("<II")

_SHARED = 3
_PT_LOAD, _PT_DYNAMIC, _WRITABLE = 1, 2, 2
_SHT_DYNSYM = 11
_NEEDED, _PLTRELSZ, _HASHED, _STRTAB, _SYMTAB, _RELA, _RELASZ, _RELAENT = 1, 2, 4, 5, 6, 7, 8, 9
_STRSZ, _SYMENT, _REL, _RELSZ, _RELENT = 10, 11, 17, 18, 19
_PLTREL, _TEXTREL, _JMPREL, _FLAGS = 20, 22, 23, 30
_GNU_HASH, _AUXILIARY, _FILTER = 0x6FFFFEF5, 0x7FFFFFFD, 0x7FFFFFFF
_LOADED = (_NEEDED, _AUXILIARY, _FILTER)
"""Tags that name a library to be loaded; all others count once."""
_FLAG_TEXTREL = 4
_ENTRIES = {_RELA: 24, _REL: 16}
_SIZES = {_SYMENT: _SYMBOL.size, _RELAENT: _ENTRIES[_RELA], _RELENT: _ENTRIES[_REL]}
_WEAK, _OVERRIDABLE = 2, (1, 2, 10)  # bindings: global, weak, unique

_PAGE = 4096
_MOST_HEADERS, _MOST_SECTIONS, _MOST_TAGS = 64, 1024, 4096
_LONGEST = 4096


class Malformed(ValueError):
    """It cannot be read: inconsistent, of another kind, or more than is read."""


@dataclass
class Allowance:
    """What may still be read, in all objects of an artefact: relocations, symbols, bytes of names."""

    relocations: int = 1 << 19
    symbols: int = 1 << 16
    letters: int = 1 << 24

    def spend(self, *, relocations: int = 0, symbols: int = 0, letters: int = 0) -> None:
        """Take from it.

        Raises:
            Malformed: there is not that much left.
        """
        self.relocations -= relocations
        self.symbols -= symbols
        self.letters -= letters
        if min(self.relocations, self.symbols, self.letters) < 0:
            raise Malformed("more than is read")


@dataclass(frozen=True)
class Symbol:
    """A name that is looked up when the object is loaded.

    ``defined``: the object has one of its own, which others that were loaded before come before.
    """

    name: str
    weak: bool
    defined: bool


@dataclass(frozen=True)
class Asked:
    """Libraries to be loaded with it, and names to be found in what is loaded."""

    libraries: tuple[str, ...]
    symbols: tuple[Symbol, ...]


def read(data: memoryview, allowance: Allowance) -> Asked:
    """Read one object.

    Raises:
        Malformed: it is no shared object of 64 bits and little-endian order, is inconsistent, or exceeds the allowance.
    """
    image = _Image(data)
    libraries, tags = _dynamic(image)
    if _TEXTREL in tags or tags.get(_FLAGS, 0) & _FLAG_TEXTREL:
        raise Malformed("it writes where nothing should")
    names = _Names(image, tags, allowance)
    return Asked(
        tuple(names.at(offset) for offset in libraries), tuple(_symbols(data, image, tags, names, allowance))
    )


def _fields(layout: struct.Struct, data: memoryview, offset: int) -> tuple[int, ...]:
    if not 0 <= offset <= len(data) - layout.size:
        raise Malformed("it ends too early")
    return layout.unpack_from(data, offset)


class _Image:
    """An object's bytes at the addresses where the linker maps them."""

    def __init__(self, data: memoryview) -> None:
        if len(data) < _HEADER.size:
            raise Malformed("it ends too early")
        magic, wide, order, *_ = found = _HEADER.unpack_from(data)
        if (magic, wide, order, found[4]) != (b"\x7fELF", 2, 1, _SHARED):
            raise Malformed("it is no shared object of 64 bits")
        self._data = data
        self._segments: list[tuple[int, int, int, bool]] = []
        headers, size, count = found[8], found[12], found[13]
        if size != _PROGRAM.size or count > _MOST_HEADERS:
            raise Malformed("its program headers are odd")
        dynamic, free = [], 0
        for number in range(count):
            kind, flags, offset, address, _, stored, mapped, _ = _fields(
                _PROGRAM, data, headers + number * size
            )
            if kind == _PT_DYNAMIC:
                dynamic.append(address)
            if kind != _PT_LOAD:
                continue
            # Whole pages are mapped, the later over the earlier.
            if stored > mapped or (address - offset) % _PAGE or address - address % _PAGE < free:
                raise Malformed("its segments are odd")
            if offset + stored > len(data):
                raise Malformed("it ends too early")
            free = -(-(address + mapped) // _PAGE) * _PAGE
            self._segments.append((address, address + stored, offset, bool(flags & _WRITABLE)))
        if len(dynamic) != 1:
            raise Malformed("it has no dynamic segment, or several")
        self.dynamic = self._from(dynamic[0], writable=True)
        self.sections = found[9], found[14], found[15]

    def table(self, address: int | None) -> memoryview:
        """All bytes from an address to the end of its segment, which nothing may write to while it is linked."""
        return self._from(-1 if address is None else address, writable=False)

    def _from(self, address: int, *, writable: bool) -> memoryview:
        for begin, end, offset, is_writable in self._segments:
            if begin <= address < end and writable >= is_writable:
                return self._data[offset + address - begin : offset + end - begin]
        raise Malformed("an address leads elsewhere")


def _dynamic(image: _Image) -> tuple[list[int], dict[int, int]]:
    """Where the names of libraries lie in the string table, and all other tags."""
    libraries: list[int] = []
    tags: dict[int, int] = {}
    size = min(len(image.dynamic) // _DYNAMIC.size, _MOST_TAGS) * _DYNAMIC.size
    for tag, value in _DYNAMIC.iter_unpack(image.dynamic[:size]):
        if not tag:
            break
        if tag in _LOADED:
            libraries.append(value)
        elif tags.setdefault(tag, value) != value:
            raise Malformed("its dynamic segment contradicts itself")
    else:
        raise Malformed("its dynamic segment does not end")
    if any(tags.get(tag, size) != size for tag, size in _SIZES.items()):
        raise Malformed("its tables are odd")
    return libraries, tags


class _Names:
    """The string table."""

    def __init__(self, image: _Image, tags: dict[int, int], allowance: Allowance) -> None:
        table, size = image.table(tags.get(_STRTAB)), tags.get(_STRSZ, 0)
        if size > len(table):
            raise Malformed("its string table is too short")
        allowance.spend(letters=size)
        self._bytes = table[:size].tobytes()
        self._allowance = allowance

    def at(self, offset: int) -> str:
        """A name; what is not ASCII in it is replaced."""
        end = self._bytes.find(b"\0", offset, offset + _LONGEST)
        if end < 0:
            raise Malformed("a name does not end")
        self._allowance.spend(letters=end - offset)
        return self._bytes[offset:end].decode("ascii", "replace")


def _symbols(
    data: memoryview, image: _Image, tags: dict[int, int], names: _Names, allowance: Allowance
) -> Iterator[Symbol]:
    table = image.table(tags.get(_SYMTAB))
    listed = max(_hashed(image, tags), _headed(data, image, tags.get(_SYMTAB)))
    if listed * _SYMBOL.size > len(table):
        raise Malformed("its symbol table is too short")
    beyond = {number for number in _relocated(image, tags, allowance) if number >= listed}
    allowance.spend(symbols=listed + len(beyond))
    for number in (*range(listed), *sorted(beyond)):
        name, info, other, section, _, _ = _fields(_SYMBOL, table, number * _SYMBOL.size)
        binding, defined = info >> 4, section != 0
        if name and (not defined or (binding in _OVERRIDABLE and not other & 3)):
            yield Symbol(names.at(name), binding == _WEAK, defined)


def _relocated(image: _Image, tags: dict[int, int], allowance: Allowance) -> set[int]:
    """The symbols that relocations name: those that the linker resolves."""
    numbers: set[int] = set()
    lazy = tags.get(_PLTREL, _RELA)
    if lazy not in _ENTRIES:
        raise Malformed("its relocations are odd")
    for where, length, kind in (_RELA, _RELASZ, _RELA), (_REL, _RELSZ, _REL), (_JMPREL, _PLTRELSZ, lazy):
        if (where in tags) != (length in tags):
            raise Malformed("its relocations are odd")
        size, entry = tags.get(length, 0), _ENTRIES[kind]
        if not size:
            continue
        table = image.table(tags[where])
        if size > len(table) or size % entry:
            raise Malformed("its relocations are odd")
        allowance.spend(relocations=size // entry)
        informed = struct.iter_unpack(f"<8xQ{entry - 16}x", table[:size])
        numbers.update(info >> 32 for (info,) in informed)
    return numbers


def _hashed(image: _Image, tags: dict[int, int]) -> int:
    """How many symbols the hash tables speak of: the old one of all, GNU's of those before the ones it finds."""
    counts = [_fields(_HASH, image.table(tags[tag]), 0)[1] for tag in (_HASHED, _GNU_HASH) if tag in tags]
    return max(counts, default=0)


def _headed(data: memoryview, image: _Image, address: int | None) -> int:
    """How many symbols the section headers speak of, 0 without any."""
    begin, size, count = image.sections
    if not begin or not count:
        return 0
    if size != _SECTION.size or count > _MOST_SECTIONS:
        raise Malformed("its section headers are odd")
    sections = [_fields(_SECTION, data, begin + number * size) for number in range(count)]
    tables = [section for section in sections if section[1] == _SHT_DYNSYM]
    if any(section[3] != address or section[5] % _SYMBOL.size for section in tables):
        raise Malformed("its section headers are odd")
    return max((section[5] // _SYMBOL.size for section in tables), default=0)
