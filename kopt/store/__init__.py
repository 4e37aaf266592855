"""The database: problems, runs, candidates, evaluations and events. It is the truth about every run.

Progress bars, pages and resumption read it. SQLite in WAL mode by default, PostgreSQL by URL; the schema is
brought up to date when the store is opened.
"""

from kopt.store.errors import LeaseLost, RunBusy, RunNotFound, StoreError
from kopt.store.lease import Lease
from kopt.store.records import Event, RunRecord, RunStatus, StoredEvaluation
from kopt.store.store import Store

__all__ = [
    "Event",
    "Lease",
    "LeaseLost",
    "RunBusy",
    "RunNotFound",
    "RunRecord",
    "RunStatus",
    "Store",
    "StoreError",
    "StoredEvaluation",
]
