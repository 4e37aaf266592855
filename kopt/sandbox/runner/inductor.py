"""What Inductor finds out anew in every process, told to it at once where its cache comes from an earlier one.

Both are the same for as long as a cache is kept: the judge keeps it by torch's version, the compiler and the processor.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import logging
import sys
from collections.abc import Iterator

from . import collector


@contextlib.contextmanager
def without_triton() -> Iterator[None]:
    """Let nothing import Triton inside, and nobody complain: with it, Inductor's import and keys take a second more."""
    hide = "triton" not in sys.modules
    if hide:
        sys.modules["triton"] = None  # type: ignore[assignment]
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        if hide:
            del sys.modules["triton"]


@functools.cache
def imported() -> None:
    """Import what ``torch.compile`` needs, which takes two seconds."""
    # Inductor would import Triton, half a second, for a machine without a GPU it can see.
    sys.modules.setdefault("triton", None)  # type: ignore[arg-type]
    with collector.paused():
        importlib.import_module("torch._inductor.compile_fx")
    with contextlib.suppress(ImportError, AttributeError, RuntimeError):  # another version's Inductor
        _key_by_version()
        _remember_probes()


def _key_by_version() -> None:
    """Key its caches with torch's version, not with the text of its two thousand files."""
    import torch

    codecache = importlib.import_module("torch._inductor.codecache")
    codecache.torch_key.set(hashlib.sha256(torch.__version__.encode()).digest())


def _remember_probes() -> None:
    """Keep beside each trial build for an instruction set whether it could be loaded, which a new process tries."""
    isa = importlib.import_module("torch._inductor.cpu_vec_isa").VecISA
    probe = isa._probe_load

    def remembered(self: object, output_path: str) -> bool:
        told = f"{output_path}.loads"
        with contextlib.suppress(OSError), open(told) as file:  # noqa: PTH123
            return file.read() == "1"
        found = bool(probe(self, output_path))
        with contextlib.suppress(OSError), open(told, "w") as file:  # noqa: PTH123
            file.write(str(int(found)))
        return found

    isa._probe_load = remembered
