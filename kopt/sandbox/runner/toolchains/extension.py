"""PyTorch candidates: a look at the syntax; C++ that they would build at run time is built here, once.

The extension that ``load_inline`` leaves is packed as the artefact. A candidate's runner unpacks it and
keeps torch from building again; the judge only ever carries the bytes.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
import traceback
from collections.abc import Mapping
from typing import Any

from .. import archives
from ..loop import BadRequest, describe
from ..sources import load_symbol
from .common import Outcome, first_error

USES = re.compile(r"\bload_inline\b|\bcpp_extension\b")


def syntax_error(sources: Mapping[str, str]) -> str | None:
    """The first syntax error among the Python files."""
    for name, text in sources.items():
        if name.endswith(".py"):
            try:
                compile(text, name, "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                line = getattr(error, "lineno", None)
                return f"{name}:{line}: {type(error).__name__}: {getattr(error, 'msg', error)}"
    return None


def build(directory: str, config: Mapping[str, Any], body: Mapping[str, Any]) -> Outcome:
    """Check the syntax; execute a candidate that builds extensions, so that they get built."""
    wrong = syntax_error(body["sources"])
    if wrong:
        return Outcome(False, log=wrong, first_error=wrong)
    if not any(USES.search(text) for text in body["sources"].values()):
        return Outcome(True)
    os.environ.setdefault("MAX_JOBS", str(config["threads"]))
    os.environ["CXX"] = body["compiler"] or "c++"
    os.environ["LC_ALL"] = "C"
    try:
        symbol = load_symbol(directory, body["entry"])
        init = (body.get("spec") or {}).get("init")
        if isinstance(symbol, type) and init is not None:
            symbol(*init)
    except BadRequest as error:
        return Outcome(False, first_error=str(error))
    except BaseException as error:
        trace = traceback.format_exc()
        told = describe(error, directory)
        where = f"{told['file']}:{told['line']}: " if told["file"] else ""
        message = (
            first_error(trace.replace(f"{os.environ['TORCH_EXTENSIONS_DIR']}/", ""), directory)
            if "ninja" in trace or "error:" in trace
            else None
        )
        return Outcome(
            False,
            log=trace[-16000:],
            first_error=message or f"{where}{told['type']}: {told['message'][:500]}",
        )
    artifact = pack(os.environ["TORCH_EXTENSIONS_DIR"])
    return Outcome(True, artifact=artifact, report={"extensions": bool(artifact)})


def pack(root: str) -> bytes:
    """The shared objects below ``root`` as a tar file that the judge can read, too; empty when there are none."""
    stream, count = io.BytesIO(), 0
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for place, _, files in os.walk(root):
            for name in files:
                if name.endswith(".so"):
                    path = os.path.join(place, name)  # noqa: PTH118
                    archive.add(path, arcname=os.path.relpath(path, root), filter=_plain)
                    count += 1
    return stream.getvalue() if count else b""


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without what would need an extended header: fractions of seconds, large numbers and odd names of users."""
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def unpack(artifact: bytes) -> None:
    """Put built extensions where torch looks, and let it load them without building."""
    root = os.environ["TORCH_EXTENSIONS_DIR"]
    os.makedirs(root, exist_ok=True)  # noqa: PTH103
    with tarfile.open(fileobj=io.BytesIO(artifact), mode="r:") as archive:
        archives.unpack(archive, root)
    from torch.utils import cpp_extension

    build_library = cpp_extension._write_ninja_file_and_build_library

    def reuse(name: str, sources: Any, *rest: Any, **options: Any) -> Any:
        directory = options.get("build_directory") or next(
            (r for r in rest if isinstance(r, str) and r.startswith(root)), ""
        )
        if directory and os.path.exists(os.path.join(directory, f"{name}.so")):  # noqa: PTH110, PTH118
            return None
        return build_library(name, sources, *rest, **options)

    cpp_extension._write_ninja_file_and_build_library = reuse
