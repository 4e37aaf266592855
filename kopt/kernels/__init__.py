"""The library of verified kernels: ``from kopt.kernels import load; f = load("name"); y = f(x)``.

A kernel runs inside its verified domain and nowhere else: the device, dtypes, shapes and strides that were
judged, on the kind of machine and with the versions that its certificate names, and only if every byte
matches that certificate. Anything else is answered by the reference, and ``f.why(x)`` tells why. Compiled and
exported programs call it as an operator of torch, ``f.op``.

This room imports only kopt's words and errors, and torch when a kernel is loaded: an inference engine that
uses it loads no database driver, no tuner and no command line.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kopt.kernels.errors import KernelNotFound, TamperedKernel
from kopt.kernels.library import library_directory

if TYPE_CHECKING:
    from kopt.kernels.dispatch import Kernel

__all__ = ["KernelNotFound", "TamperedKernel", "library_directory", "load"]


def load(name: str | Path, *, library: Path | None = None) -> Kernel:
    """Load a kernel from the library.

    Args:
        name: its name, or the path of a kernel's folder.
        library: the folder that holds the library; ``$KOPT_HOME/library`` or ``~/.kopt/library`` by default.

    Returns:
        A callable that takes the reference's inputs followed by its state (parameters and buffers), if it
        has any.

    Raises:
        KernelNotFound: there is no such kernel.
        TamperedKernel: the certificate or the reference was changed after admission. (Where only the kernel's
            own files were changed, loading succeeds and the reference runs.)
    """
    from kopt.kernels.dispatch import load_kernel

    return load_kernel(name, library)
