"""C++ once more, for its profile: what the vectoriser remarked on, and the disassembly with source lines.

The flags are those of the ordinary build; line tables and remarks come on top, which do not change the code that
gcc generates. Only what concerns the candidate's own files is kept: the headers below it make megabytes of both.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import IO, Any

from . import cpp
from .common import Outcome, first_error, run_logged

_ASKED = ("-g1", "-fopt-info-vec-optimized-missed")
_MOST_READ = 64 << 20
_MOST_REMARKS, _REMARK = 400, 400
_MOST_ASSEMBLY = 3 << 20
_SECONDS = 30.0
_REMARKED = re.compile(r"([^\s:][^:\n]*):\d+:\d+: (?:optimized|missed): ")
_FUNCTION = re.compile(r"[0-9a-f]+ <.*>:$")
_LINE = re.compile(r"(\S.*):\d+(?: \(discriminator \d+\))?$")


def build(directory: str, config: Mapping[str, Any], body: Mapping[str, Any]) -> Outcome:
    """Compile and disassemble; the artefact is JSON: ``remarks`` and ``assembly``, both lists of lines."""
    gcc = "clang" not in body["compiler"]
    more = [_ASKED[0], f"-fdebug-prefix-map={directory}=.", *(_ASKED[1:] if gcc else ())]
    command, target = cpp.compile_command(directory, config, body, more)
    status, path = run_logged(command, directory, seconds=body["seconds"])
    with open(path, encoding="utf-8", errors="replace") as log:  # noqa: PTH123
        if status:
            words = log.read(64_000)
            return Outcome(False, log=words, first_error=first_error(words, directory) or words[:300])
        remarks = list(own_remarks(bounded(log), body["sources"]))
    report = {"compiler": body["compiler"], "objdump": shutil.which("objdump") is not None}
    assembly = _disassembly(directory, target, body["sources"]) if report["objdump"] else []
    found = {"remarks": remarks, "assembly": assembly}
    return Outcome(True, artifact=json.dumps(found).encode(), report=report)


def bounded(stream: IO[str]) -> Iterator[str]:
    """The lines of a tool's output, up to what one may be expected to write."""
    read = 0
    while read < _MOST_READ and (line := stream.readline(2000)):
        read += len(line)
        yield line.rstrip("\n")


def own(path: str, sources: Collection[str]) -> bool:
    """Whether a path names one of the candidate's files."""
    return any(path in (name, f"./{name}") or path.endswith(f"/{name}") for name in sources)


def own_remarks(lines: Iterable[str], sources: Collection[str]) -> Iterator[str]:
    """The remarks on the candidate's own lines, each once."""
    seen: set[str] = set()
    for line in lines:
        found = _REMARKED.match(line)
        noise = "statement can throw" in line  # hundreds of them, for every cleanup of the call's frame
        if found and not noise and own(found[1], sources) and line not in seen and len(seen) < _MOST_REMARKS:
            seen.add(line)
            yield line[:_REMARK]


def own_functions(lines: Iterable[str], sources: Collection[str], most: int = _MOST_ASSEMBLY) -> list[str]:
    """The functions of a disassembly in which a line of the candidate's own files occurs, up to ``most`` characters."""
    kept: list[str] = []
    block: list[str] = []
    known: dict[str, bool] = {}
    mine, left = False, most

    def flush() -> None:
        nonlocal left
        size = sum(map(len, block))
        if mine and size <= left:
            kept.extend(block)
            left -= size

    for line in lines:
        if _FUNCTION.match(line):
            flush()
            block, mine = [line], False
        elif line and block:
            block.append(line)
            place = None if mine else _LINE.match(line)
            if place:
                mine = known.setdefault(place[1], own(place[1], sources))
    flush()
    return kept


def _disassembly(directory: str, target: str, sources: Collection[str]) -> list[str]:
    words = ["objdump", "-d", "-C", "-l", "-M", "intel", "--no-show-raw-insn", "-j", ".text", target]
    environment = {**os.environ, "LC_ALL": "C"}
    path = os.path.join(directory, ".assembly")  # noqa: PTH118
    with open(path, "wb") as file:  # noqa: PTH123
        try:
            subprocess.run(
                words,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS,
                env=environment,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return []
    with open(path, encoding="utf-8", errors="replace") as text:  # noqa: PTH123
        return own_functions(bounded(text), sources)
