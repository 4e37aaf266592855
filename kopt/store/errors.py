"""What can go wrong with the store, said in one line."""

from __future__ import annotations

from kopt.errors import KoptError, UsageError


class StoreError(KoptError):
    """The database cannot be opened or is newer than this kopt."""


class RunNotFound(UsageError):
    """No run has that id, or several begin with it."""


class RunBusy(UsageError):
    """Another live process works on the run."""


class LeaseLost(KoptError):
    """Another process took the run over; this one must stop writing to it."""
