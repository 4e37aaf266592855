"""Read what a sanitized program printed: the first finding that can be laid to the candidate, as one line.

Only text is looked at, and only to speak against a candidate. A finding counts when it is of a kind that no correct
program shows; undefined behaviour and races must lie in a line of the candidate's own sources, because the
libraries below it are not instrumented.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import islice

# Numbers are bounded: whoever wrote the text may have wished for one that takes long to read.
_FRAME = re.compile(r"\s+#\d{1,5} ")
_MEMORY = re.compile(
    r"^==\d{1,9}==ERROR: AddressSanitizer: (?P<kind>attempting [a-z-]{1,40}|[A-Za-z-]{1,60})(?P<rest>.*)$",
    re.M,
)
_ADDRESS = re.compile(r"\b(?:address|on) (0x[0-9a-f]{1,16})")
_ACCESS = re.compile(r"^(READ|WRITE) of size (\d{1,12})", re.M)
_TENSOR = re.compile(r"^kopt: tensor (\S{1,100}) (0x[0-9a-f]{1,16}) (\d{1,15})$", re.M)
_FENCE = re.compile(r"^kopt: fence (\S{1,100}) (before|after) (\d{1,15})$", re.M)
_REGION = re.compile(
    r"is located (\d{1,15}) bytes (to the right of|to the left of|after|before|inside of) (\d{1,15})-byte region"
)
_VARIABLE = re.compile(r"'([^'\n]{1,80})' (?:\(line \d{1,9}\) )?<==|global variable '([^'\n]{1,80})'")
_UNDEFINED = re.compile(
    r"^(?P<file>\S{1,300}?):(?P<line>\d{1,9}):\d{1,9}: runtime error: (?P<what>.{1,300})", re.M
)
_RACE = re.compile(r"^WARNING: ThreadSanitizer: data race", re.M)
_RACING = re.compile(
    r"^  (?:Previous )?(?:[Aa]tomic )?(?:[Rr]ead|[Ww]rite) of size (\d{1,12}) at (0x[0-9a-f]{1,16}) by", re.M
)
_LOCATION = re.compile(r"^  Location is global '([^'<\n]{1,200})'", re.M)
_STOPPED = re.compile(r"^(?:kopt: stopped|FATAL|==\d{1,9}==FATAL): (.{1,200})", re.M)

_RACES, _REPORT = 50, 20_000
_NEAR = 8192
_BEYOND = {"to the right of": "after the end of", "after": "after the end of", "inside of": "inside of"}
_WORDS = {
    "heap-buffer-overflow": "out-of-bounds",
    "stack-buffer-overflow": "out-of-bounds",
    "stack-buffer-underflow": "out-of-bounds",
    "dynamic-stack-buffer-overflow": "out-of-bounds",
    "global-buffer-overflow": "out-of-bounds",
    "use-after-poison": "out-of-bounds",
    "container-overflow": "out-of-bounds",
    "heap-use-after-free": "use-after-free",
    "stack-use-after-scope": "use-after-scope",
    "stack-use-after-return": "use-after-return",
}
_PLAIN = {
    "attempting double-free": "frees memory twice",
    "attempting free": "frees what was never allocated",
    "memcpy-param-overlap": "memcpy between overlapping memory",
    "negative-size-param": "copies a negative number of bytes",
}
_FATAL = {
    "SEGV": "invalid address",
    "BUS": "invalid address",
    "FPE": "arithmetic trap",
    "ILL": "illegal instruction",
    "ABRT": "abort",
}


@dataclass(frozen=True)
class Fault:
    """What a sanitizer found: kind, place in the candidate's sources where known, and one line for people."""

    kind: str
    text: str
    file: str = ""
    line: int | None = None
    fatal: bool = False

    def __str__(self) -> str:
        where = f" at {self.file}:{self.line}" if self.line else ""
        return f"{self.kind}{where}: {self.text}"


def find(text: str, sources: Collection[str]) -> Fault | None:
    """The earliest fault in a program's output that is the candidate's."""
    found = [fault for fault in (_fence(text), *_undefined(text, sources), _memory(text, sources)) if fault]
    found += _races(text, sources)
    if not found:
        return None
    fault = min(found, key=lambda pair: pair[0])[1]
    return replace(fault, text="".join(c if c.isprintable() else "?" for c in fault.text))


def reached_its_end(text: str) -> str:
    """Why a program without a fault cannot be called clean; empty when it came to its end."""
    if text.rstrip().endswith("kopt: done"):
        return ""
    stopped = _STOPPED.search(text)
    if stopped:
        return stopped[1]
    memory = _MEMORY.search(text)
    return f"{memory['kind']} under the sanitizer" if memory else "the program ended early"


def _own(file: str, sources: Collection[str]) -> str:
    """The candidate's name of a file, empty where it is not one of its files."""
    fitting = [name for name in sources if file in (name, f"./{name}") or file.endswith(f"/{name}")]
    return max(fitting, key=len, default="")


def _place(stack: str, sources: Collection[str]) -> tuple[str, int] | None:
    """File and line of the innermost frame in the candidate's sources; the stack ends at the first empty line."""
    for line in stack.splitlines():
        if not line.strip():
            return None
        words = line.split() if _FRAME.match(line) else []
        if words and words[-1].startswith("("):  # ThreadSanitizer ends a frame with (binary+offset)
            words.pop()
        file, _, rest = (words[-1] if words else "").partition(":")
        number = rest.partition(":")[0]
        name = _own(file, sources) if number.isdecimal() and len(number) < 9 else ""
        if name and "/sanitizers/" not in file:
            return name, int(number)
    return None


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count} bytes"


def _tensor(text: str, address: int, size: int) -> str:
    """Where an address lies in relation to the argument next to it."""
    for name, begin_text, bytes_text in _TENSOR.findall(text):
        begin, nbytes = int(begin_text, 16), int(bytes_text)
        if begin + nbytes <= address < begin + nbytes + _NEAR:
            return f"{address - begin - nbytes} bytes after the end of {name} ({_bytes(nbytes)})"
        if begin - _NEAR <= address < begin:
            return f"{begin - address} bytes before the start of {name} ({_bytes(nbytes)})"
        if begin <= address < begin + nbytes < address + size:
            return f"across the end of {name} ({_bytes(nbytes)})"
    return ""


def _memory(text: str, sources: Collection[str]) -> tuple[int, Fault] | None:
    found = _MEMORY.search(text)
    if not found:
        return None
    kind, after = found["kind"], text[found.end() :]
    place = _place(after.removeprefix("\n"), sources)
    file, line = place if place else ("", None)
    if kind in _FATAL:
        hint = "look at the pointer or index used there" if kind != "FPE" else "look for a division by zero"
        address = _ADDRESS.search(found["rest"])
        where = f"{_FATAL[kind]} ({kind}{f' at {address[1]}' if address else ''}), {hint}"
        return found.start(), Fault("crash", where, file, line, fatal=True)
    if kind in _PLAIN:
        return found.start(), Fault("memory error", _PLAIN[kind], file, line)
    if kind not in _WORDS:
        return None  # limits of the sanitizer itself: stack or memory exhausted
    access = _ACCESS.search(after)
    size = int(access[2]) if access else 0
    doing = "write" if access and access[1] == "WRITE" else "read"
    address = _ADDRESS.search(found["rest"])
    fenced = kind == "use-after-poison"
    detail = _tensor(text, int(address[1], 16), size) if address and fenced else ""
    region, variable = _REGION.search(after), _VARIABLE.search(after)
    if region and not fenced:
        side = _BEYOND.get(region[2], "before the start of")
        block = "a freed block" if "free" in kind else "an allocated block"
        detail = f"{region[1]} bytes {side} {block} of {_bytes(int(region[3]))}"
    elif not detail and variable:
        detail = f"of the variable {variable[1] or variable[2]}"
    hint = "check bounds and the last, partial block" if _WORDS[kind] == "out-of-bounds" else "keep it alive"
    what = f"{_bytes(size)}{', ' + detail if detail else ''}; {hint}"
    return found.start(), Fault(f"{_WORDS[kind]} {doing}", what, file, line)


def _fence(text: str) -> tuple[int, Fault] | None:
    found = _FENCE.search(text)
    if not found:
        return None
    side = (
        f"{found[3]} bytes after the end of"
        if found[2] == "after"
        else f"{found[3]} bytes before the start of"
    )
    what = f"{side} {found[1]}, by a masked or streaming store or a library; check bounds and the last, partial block"
    return found.start(), Fault("out-of-bounds write", what)


def _undefined(text: str, sources: Collection[str]) -> Iterator[tuple[int, Fault]]:
    for found in _UNDEFINED.finditer(text):
        name = _own(found["file"], sources)
        if name:
            what = f"{found['what']}; the compiler may do anything with it"
            yield found.start(), Fault("undefined behaviour", what, name, int(found["line"]))


def _races(text: str, sources: Collection[str]) -> Iterator[tuple[int, Fault]]:
    for found in islice(_RACE.finditer(text), _RACES):
        report = text[found.end() : found.end() + _REPORT].partition("\n==================")[0]
        accesses = list(islice(_RACING.finditer(report), 2))
        places = [_place(report[access.end() :].partition("\n")[2], sources) for access in accesses]
        if len(places) < 2 or places[0] is None:
            continue  # between libraries that are not instrumented: their locks are not seen either
        other = places[1]
        if other is None and "failed to restore the stack" not in report:
            continue
        file, line = places[0]
        size, address = int(accesses[0][1]), int(accesses[0][2], 16)
        with_line = f", one of them at line {other[1]}," if other and other[1] != line else ""
        where = _inside(text, address) or _named(report)
        what = f"two threads use the same {_bytes(size)}{where}{with_line} without order"
        what += "; use a reduction, an atomic or a lock"
        yield found.start(), Fault("data race", what, file, line)


def _inside(text: str, address: int) -> str:
    """The argument an address lies in, and the byte."""
    for name, begin, nbytes in _TENSOR.findall(text):
        if 0 <= address - int(begin, 16) < int(nbytes):
            return f" (byte {address - int(begin, 16)} of {name})"
    return ""


def _named(report: str) -> str:
    location = _LOCATION.search(report)
    return f" ({location[1].rpartition('::')[2]})" if location else ""
