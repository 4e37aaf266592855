"""What can be wrong with a kernel in the library."""

from __future__ import annotations

from kopt.errors import KoptError, UsageError


class KernelNotFound(UsageError):
    """The library holds no kernel of that name."""


class TamperedKernel(KoptError):
    """A stored kernel's bytes differ from what its certificate says."""
