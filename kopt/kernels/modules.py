"""Importing Python sources whose bytes were checked, from a private folder that nobody else writes to."""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType


def private_folder(files: Mapping[str, bytes]) -> Path:
    """Write files into a new folder that only this user can read, removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="kopt-kernel-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for relative, content in files.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def import_file(files: Mapping[str, bytes], entry: str, kind: str) -> ModuleType:
    """Import ``entry``; its sibling files can be imported by it under their own names."""
    folder = private_folder(files)
    digest = hashlib.sha256(b"\0".join(files[name] for name in sorted(files))).hexdigest()
    name = f"_kopt_{kind}_{digest[:16]}"
    spec = importlib.util.spec_from_file_location(name, folder / entry)
    if spec is None or spec.loader is None:
        raise ImportError(f"{entry} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    here = str((folder / entry).parent)
    sys.path.insert(0, here)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(here)
    return module
