"""Opening the database: SQLite in WAL mode with a busy timeout, and the schema brought up to date."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from kopt.store.errors import StoreError

HEAD = "0001"
"""The newest revision; a test holds it against the scripts. Lets an up-to-date store open without alembic."""
BUSY_SECONDS = 30.0


def open_engine(url: str) -> sa.Engine:
    """Connect to ``url`` and migrate it to :data:`HEAD`.

    Raises:
        StoreError: the URL is malformed, the database cannot be reached or a newer kopt wrote it.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(parsed, connect_args=_connect_args(parsed))
    except (sa.exc.ArgumentError, ImportError, OSError) as error:
        raise StoreError(f"cannot use the database {url}: {error}; set KOPT_DATABASE or KOPT_HOME") from error
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    try:
        if _revision(engine) != HEAD:
            with _migration_lock(engine):
                _migrate(engine)
    except sa.exc.SQLAlchemyError as error:
        line = str(getattr(error, "orig", error)).splitlines()[0]
        raise StoreError(
            f"cannot open the database {url}: {line}; set KOPT_HOME to a directory you may write to"
        ) from error
    return engine


def _connect_args(url: sa.URL) -> dict[str, Any]:
    return {"timeout": BUSY_SECONDS} if url.get_backend_name() == "sqlite" else {}


def _prepare_sqlite(engine: sa.Engine) -> None:
    """Take transactions into our own hands: sqlite3's implicit ones leave DDL out and upgrade locks late."""

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        reading = connection.get_execution_options().get("kopt_reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _revision(engine: sa.Engine) -> str | None:
    with engine.connect().execution_options(kopt_reading=True) as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: sa.Engine) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreError(
                f"the database {engine.url} was written by a newer kopt ({error}); upgrade kopt, "
                "or set KOPT_DATABASE"
            ) from error


@contextlib.contextmanager
def _migration_lock(engine: sa.Engine) -> Iterator[None]:
    """Let one process migrate at a time."""
    if engine.dialect.name == "sqlite":
        if not engine.url.database:
            yield
            return
        descriptor = os.open(f"{engine.url.database}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
    else:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT pg_advisory_lock(761203)"))
            try:
                yield
            finally:
                connection.execute(sa.text("SELECT pg_advisory_unlock(761203)"))
