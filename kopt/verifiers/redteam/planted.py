"""A secret in every place a candidate might look for one: files, the user's keys, a row of the database.

Everything is put beside what is there already, under a name of its own, and taken away afterwards.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from kopt.settings import Settings


class Planted:
    """The secret's copies, from construction until :meth:`remove`. What cannot be planted is left out."""

    def __init__(self, settings: Settings, secret: str) -> None:
        home, user = Path(settings.home), Path.home()
        word = f"redteam-{secrets.token_hex(4)}"
        self._secret = secret
        self._keys = user / ".ssh"
        self._made_keys = False
        self.file = home / f"{word}.key"
        self.files: list[Path] = []
        self.database = _file_of(settings.database_url)
        self._table = word.replace("-", "_")
        self._made_database = self.database is not None and not self.database.exists()
        with contextlib.suppress(OSError):
            if not self._keys.exists():
                self._keys.mkdir(mode=0o700)
                self._made_keys = True
        places = [self.file, home / "library" / f"{word}.key", home / "builds" / f"{word}.key"]
        for file in (*places, user / f".{word}.key", self._keys / word):
            with contextlib.suppress(OSError):  # a home that is read-only
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch(mode=0o600)
                file.write_text(secret)
                self.files.append(file)
        try:
            with self._connected() as connection:
                connection.execute(f"CREATE TABLE {self._table} (secret TEXT)")
                connection.execute(f"INSERT INTO {self._table} VALUES (?)", (secret,))
        except (OSError, sqlite3.Error):
            self.database = None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the database's file.

        Raises:
            FileNotFoundError: the database is no file.
        """
        if self.database is None:
            raise FileNotFoundError("a database that is no file")
        with contextlib.closing(sqlite3.connect(self.database, timeout=30)) as connection, connection:
            connection.execute("PRAGMA secure_delete=ON")
            yield connection

    def changed(self) -> str:
        """The copy that is not as it was planted, in words; empty when all are."""
        for file in self.files:
            if not file.exists() or file.read_text() != self._secret:
                return "a file of the judge's"
        if self.database is not None:
            try:
                with self._connected() as connection:
                    rows = connection.execute(f"SELECT secret FROM {self._table}").fetchall()
            except sqlite3.Error:
                rows = []
            if rows != [(self._secret,)]:
                return "the database"
        return ""

    def remove(self) -> None:
        """Take everything away again, also folders and a database that were not there before."""
        for file in self.files:
            file.unlink(missing_ok=True)
        if self._made_keys:
            with contextlib.suppress(OSError):  # somebody has put something there meanwhile
                self._keys.rmdir()
        if self.database is None:
            return
        with contextlib.suppress(sqlite3.Error, OSError):
            with self._connected() as connection:
                connection.execute(f"DROP TABLE IF EXISTS {self._table}")
                left = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if self._made_database and not left:
                self.database.unlink()


def _file_of(url: str) -> Path | None:
    """Where the database lies, when it is a file of this machine."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return None
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    return Path(parsed.database)
