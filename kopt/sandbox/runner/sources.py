"""Put untrusted sources into scratch, load the entry point from them and see what it takes."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from .loop import BadRequest


def write_sources(sources: Mapping[str, str], directory: str) -> None:
    """Write files by relative path.

    Raises:
        BadRequest: a path leaves the directory.
    """
    for name, text in sources.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
            raise BadRequest(f"source path {name!r} must be relative and stay inside", kind="import")
        target = Path(directory, *path.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def split_entry(entry: str) -> tuple[str, str]:
    """``file::symbol`` as a pair."""
    file, _, symbol = entry.partition("::")
    if not file or not symbol:
        raise BadRequest(f"entry {entry!r} must read file::symbol", kind="import")
    return file, symbol


def load_symbol(directory: str, entry: str) -> Any:
    """Execute the entry file as a module of its own name and return the entry symbol."""
    file, symbol = split_entry(entry)
    name = file.removesuffix(".py").replace("/", ".")
    if name in sys.modules or not name.replace(".", "_").isidentifier():
        name = "candidate_" + "".join(c if c.isalnum() else "_" for c in name)
    sys.path.insert(0, directory)
    spec = importlib.util.spec_from_file_location(name, os.path.join(directory, file))  # noqa: PTH118
    if spec is None or spec.loader is None:
        raise BadRequest(f"{file} is not a Python file", kind="import")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    if not hasattr(module, symbol):
        raise BadRequest(f"{file} defines no {symbol}", kind="import")
    return getattr(module, symbol)


def takes(entry: Any, given: int, state: int) -> bool:
    """Whether an entry that returns its outputs wants the reference's state after its ``given`` arguments."""
    import torch

    if not state or isinstance(entry, torch.nn.Module):
        return False
    try:
        inspect.signature(entry).bind(*range(given + state))
    except (TypeError, ValueError):
        return False
    return True
