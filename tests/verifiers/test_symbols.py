"""What a built object imports, read from honest objects and from bytes that were made to mislead their reader."""

from __future__ import annotations

import contextlib
import io
import struct
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kopt.sandbox.runner.toolchains.extension import pack
from kopt.verifiers import elf, packed, symbols

SOURCE = """
#include <dlfcn.h>
extern int cblas_sgemm(int) __attribute__((weak));
__attribute__((weak)) void *dlsym(void *a, const char *b) { return a; }
int table[64] = {1};
int *places[4] = {table, table + 1};
int odd(int x) { return x + table[1]; }
int run(int x) {
  if (cblas_sgemm) x += cblas_sgemm(x);
  return odd(x) + (dlopen("", x) != 0) + (dlsym(0, "x") != 0);
}
"""
NAMED = {"cblas_sgemm", "dlopen", "dlsym"}
UNREADABLE = "(its built object cannot be read)"
GNU_HASH, HASH, RELA = 0x6FFFFEF5, 4, 7
EHDR_SHOFF, EHDR_SHNUM = 40, 60


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("object")
    (folder / "k.c").write_text(SOURCE)
    flags = ["-x", "c", "-O1", "-fPIC", "-shared", "-fno-builtin", "-Wl,--hash-style=both"]
    subprocess.run(["g++", *flags, "k.c", "-o", "k.so"], cwd=folder, check=True)
    return (folder / "k.so").read_bytes()


def shared_object(
    tags: list[tuple[int, bytes]], table: bytes, names: bytes, *, kind: int = 3, writable: bool = False
) -> bytes:
    """A small object: a tag's bytes each, a symbol table, a string table. Relocations get their size."""
    sizes = {RELA: 8, 23: 2}
    parts = [*tags, (6, table), (5, names)]
    at, dynamic, body = 1024, [(10, len(names))], b""
    for tag, data in parts:
        dynamic += [(tag, at + len(body))] + ([(sizes[tag], len(data))] if tag in sizes else [])
        body += data
    told = b"".join(struct.pack("<QQ", *pair) for pair in [*dynamic, (0, 0)])
    head = struct.pack(
        "<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, kind, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0
    )
    load = struct.pack("<IIQQQQQQ", 1, 6 if writable else 4, 0, 0, 0, at + len(body), at + len(body), 4096)
    place = struct.pack("<IIQQQQQQ", 2, 4, 176, 176, 176, len(told), len(told), 8)
    return (head + load + place + told).ljust(at, b"\0") + body


def symbol(name: int, info: int = 0x12, section: int = 0) -> bytes:
    return struct.pack("<IBBHQQ", name, info, 0, section, 0, 0)


def relocation(number: int) -> bytes:
    return struct.pack("<QQq", 0, number << 32 | 6, 0)


def packet(*objects: bytes, **about: object) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number, data in enumerate(objects):
            member = tarfile.TarInfo(f"m/{number}.so")
            member.size = len(data)
            for key, value in about.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def test_imports_of_a_real_object(real: bytes) -> None:
    assert set(symbols.foreign(real, alone=True)) == NAMED
    asked = elf.read(memoryview(real), elf.Allowance())
    found = {symbol.name: symbol for symbol in asked.symbols}
    assert found["cblas_sgemm"].weak and not found["cblas_sgemm"].defined
    assert found["dlsym"].defined and found["odd"].defined
    assert any(name.startswith("libc.so") for name in asked.libraries)


@pytest.mark.parametrize("name", ["libm.so.6", "libgomp.so.1"])
def test_libraries_of_the_system_are_read(name: str) -> None:
    path = subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    data = Path(path.stdout.strip()).read_bytes()
    asked = elf.read(memoryview(data), elf.Allowance())
    assert asked.symbols and all(library.startswith(("libc.so", "ld-")) for library in asked.libraries)


def test_packed_extensions_are_read(real: bytes, tmp_path: Path) -> None:
    for name in ("one", "x" * 120):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.so").write_bytes(real)
    data = pack(str(tmp_path))
    assert [bytes(one) for one in packed.files(memoryview(data))] == [real, real]
    assert set(symbols.foreign(data, alone=False)) == NAMED


def test_a_forged_hash_table_hides_nothing(real: bytes) -> None:
    data = bytearray(real)
    struct.pack_into("<Q", data, EHDR_SHOFF, 0)
    struct.pack_into("<H", data, EHDR_SHNUM, 0)
    for tag in (HASH, GNU_HASH):
        place = real.index(struct.pack("<Q", tag), 0x1000)  # its entry in the dynamic segment
        struct.pack_into("<Q", data, place, 0x6FFF0000)
    assert set(symbols.foreign(bytes(data), alone=True)) == NAMED
    hidden = struct.pack(
        "<4IQI", 1, 1, 1, 0, 0, 0
    )  # GNU's: symbols are listed from number 1 on, and there are none
    tags = [(GNU_HASH, hidden), (RELA, relocation(2))]
    forged = shared_object(tags, symbol(0) + symbol(1) + symbol(1), b"\0dlopen\0")
    assert symbols.foreign(forged, alone=True) == ("dlopen",)


@pytest.mark.parametrize("bucket", [1, 1 << 20, 0xFFFFFFFF])
def test_a_hash_chain_that_leaves_the_file(bucket: int) -> None:
    table = struct.pack("<4IQI", 1, 1, 1, 0, 0, bucket)
    forged = shared_object([(RELA, relocation(1)), (GNU_HASH, table)], symbol(0) + symbol(1), b"\0dlopen\0")
    assert symbols.foreign(forged, alone=False) == ("dlopen",)
    assert symbols.foreign(packet(forged), alone=False) == ("dlopen",)
    assert symbols.foreign(shared_object([(GNU_HASH, b"")], b"", b""), alone=False) == (UNREADABLE,)


MALFORMED = {
    "nothing": b"",
    "text": b"dlopen" * 100,
    "a program": shared_object([], symbol(0), b"\0", kind=2),
    "tables that can be written to": shared_object([], symbol(0), b"\0", writable=True),
    "a name outside of the table": shared_object(
        [(RELA, relocation(1))], symbol(0) + symbol(99), b"\0dlopen\0"
    ),
    "a name without end": shared_object([(RELA, relocation(1))], symbol(0) + symbol(1), b"\0dlopen"),
    "a long name": shared_object([(RELA, relocation(1))], symbol(0) + symbol(1), b"\0" + b"a" * 5000 + b"\0"),
    "a symbol outside of the table": shared_object([(RELA, relocation(1 << 31))], symbol(0), b"\0"),
    "part of a relocation": shared_object([(RELA, relocation(1)[:-1])], symbol(0) * 2, b"\0"),
    "another order": shared_object([], symbol(0), b"\0").replace(b"ELF\2\1", b"ELF\2\2"),
    "32 bits": shared_object([], symbol(0), b"\0").replace(b"ELF\2\1", b"ELF\1\1"),
    "text relocations": shared_object([(22, b"")], symbol(0), b"\0"),
    "two symbol tables": shared_object([(6, symbol(0))], symbol(0), b"\0"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_malformed_is_a_finding(name: str) -> None:
    data = MALFORMED[name]
    if data:
        assert symbols.foreign(data, alone=True) == (UNREADABLE,)
    assert symbols.foreign(packet(data), alone=False) == (UNREADABLE,)


def test_libraries_by_odd_names() -> None:
    names = b"\0libm.so.6\0libm.so/../libopenblas.so\0lib\xff\0"
    tags = b"".join(struct.pack("<QQ", 1, at) for at in (1, 11, names.index(b"lib\xff")))
    data = bytearray(shared_object([], symbol(0), names))
    entries = data[176 : 176 + 48]
    data[176 : 176 + 112] = tags + entries + bytes(16)
    assert symbols.foreign(bytes(data), alone=True) == ("(a name of odd characters)",)
    assert symbols.foreign(bytes(data), alone=False) == ()


ODD_ARCHIVES = {
    "a link": packet(b"", type=tarfile.SYMTYPE, linkname="x"),
    "sparse": packet(b"", type=tarfile.GNUTYPE_SPARSE),
    "another size beside": packet(b"", pax_headers={"size": "99"}),
    "too many": packet(*[b"\x7fELF"] * 200),
    "cut": packet(bytes(5000))[:1024],
    "half a header": packet(b"")[:100],
    "compressed": b"\x1f\x8b\x08" + bytes(600),
}


@pytest.mark.parametrize("name", ODD_ARCHIVES)
def test_archives_of_other_kinds_are_findings(name: str) -> None:
    assert UNREADABLE in symbols.foreign(ODD_ARCHIVES[name], alone=False)


MIB = 1 << 20
MOST = 1 << 16
SLOW = {
    "names without end": lambda: shared_object(
        [(HASH, struct.pack("<II", 0, MOST - 1))],
        b"".join(symbol(1 + n) for n in range(MOST)),
        b"\0" + b"a" * (15 * MIB),
    ),
    "long names": lambda: shared_object(
        [(HASH, struct.pack("<II", 0, MOST - 1))], symbol(1) * MOST, b"\0" + b"\xff" * 200 + b"\0"
    ),
    "as many relocations and symbols as are read": lambda: shared_object(
        [(RELA, b"".join(relocation(n % (MOST - 1)) for n in range(1 << 19)))],
        symbol(1) * MOST,
        b"\0_ZN2at6nativ\0",
    ),
    "nothing but relocations": lambda: shared_object([(RELA, bytes(60 * MIB))], symbol(0), b"\0"),
    "zeros": lambda: bytes(64 * MIB),
    "many objects": lambda: packet(*[shared_object([], symbol(0), b"\0" + b"a" * (MIB // 2))] * 120),
    "a string table of all": lambda: shared_object([], symbol(0), bytes(63 * MIB)),
    "too much": lambda: b"\x7fELF" + bytes(64 * MIB),
}


@pytest.mark.timing  # a second of processor time, which a busy neighbour stretches too
@pytest.mark.parametrize("name", SLOW)
def test_hostile_bytes_take_no_time(name: str) -> None:
    data = SLOW[name]()
    began = time.process_time()
    symbols.foreign(data, alone=True)
    assert time.process_time() - began < 1.0


ODD = st.sampled_from(
    [0, 1, 2, 7, 0x40, 0xFF, 0xFFFF, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 63) - 1, (1 << 64) - 1]
)
CHANGES = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 3), ODD), min_size=1, max_size=4)


@given(changes=CHANGES, tables=st.booleans(), cut=st.integers(0, 1 << 15) | st.none())
@settings(max_examples=400, deadline=2000, derandomize=True)
def test_changed_objects(
    real: bytes, changes: list[tuple[int, int, int]], tables: bool, cut: int | None
) -> None:
    data = bytearray(real)
    for place, width, value in changes:  # in headers and tables more often than elsewhere
        size = 1 << width
        at = place % (1200 if tables else len(data) - 8)
        data[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
    view = memoryview(bytes(data))[:cut]
    with contextlib.suppress(elf.Malformed):
        elf.read(view, elf.Allowance())
    assert all(name.isprintable() and len(name) < 130 for name in symbols.foreign(bytes(view), alone=True))


@given(st.binary(max_size=3000), st.binary(max_size=40), st.integers(0, 600))
@settings(max_examples=200, deadline=2000, derandomize=True)
def test_changed_archives(data: bytes, other: bytes, at: int) -> None:
    whole = packet(data, data)
    with contextlib.suppress(ValueError):
        for one in packed.files(memoryview(whole[:at] + other + whole[at + len(other) :])):
            assert len(one) <= len(whole)
