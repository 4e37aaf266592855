"""What ptxas made of a kernel: the machine code (SASS) of cubins with source lines, as nvdisasm writes it.

nvdisasm comes with the CUDA toolkit and with Triton's wheel; where there is none, there is no listing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ..loop import BadRequest
from .common import run_logged
from .profiled import bounded, own

_MOST_LISTED = 3 << 20
_SECONDS = 30.0


def disassembler(config: Mapping[str, Any]) -> str | None:
    """The path of an nvdisasm, the toolkit's first."""
    triton = importlib.util.find_spec("triton")
    places = (triton.submodule_search_locations or ()) if triton else ()
    folders = [f"{config['cuda']}/bin"] if config.get("cuda") else []
    folders += [f"{place}/backends/nvidia/bin" for place in places]
    return shutil.which("nvdisasm", path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))


def listing(
    cubins: Sequence[bytes], directory: str, config: Mapping[str, Any], sources: Collection[str]
) -> bytes:
    """An artefact for :mod:`kopt.verifiers.profile.sass`: JSON with ``sass``, the lines of all kernels."""
    tool = disassembler(config)
    lines: list[str] = []
    left = _MOST_LISTED
    for cubin in cubins if tool else ():
        path = os.path.join(directory, ".listed.cubin")  # noqa: PTH118
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(cubin)
        try:
            status, log = run_logged([str(tool), "-c", "-gi", path], directory, seconds=_SECONDS)
        except BadRequest:
            continue
        for line in _lines(log, sources) if not status else ():
            left -= len(line)
            if left < 0:
                break
            lines.append(line)
    return json.dumps({"sass": lines, "nvdisasm": tool is not None}).encode()


def _lines(log: str, sources: Collection[str]) -> Iterator[str]:
    """Sections, labels, instructions, and the places that are the candidate's own or end one that is."""
    with open(log, encoding="utf-8", errors="replace") as text:  # noqa: PTH123
        for line in bounded(text):
            if "//## File" in line:
                if " inlined at " not in line:
                    yield line.strip() if own(line.split('"')[1], sources) else "//##"
            elif line.strip():
                yield line.rstrip()
