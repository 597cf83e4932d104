"""The file of the outbox: SQLite in WAL mode, its schema, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (kind TEXT, id INTEGER, facts TEXT, event TEXT, gone REAL DEFAULT 0,
    PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, type TEXT, kind TEXT, object INTEGER, cluster INTEGER,
    time REAL, late INTEGER, facts TEXT, before TEXT);
CREATE TABLE IF NOT EXISTS sinks (
    name TEXT PRIMARY KEY, last INTEGER DEFAULT 0, acknowledged INTEGER DEFAULT 0, failures INTEGER DEFAULT 0,
    next REAL DEFAULT 0, stopped TEXT DEFAULT '', problem TEXT DEFAULT '');
CREATE TABLE IF NOT EXISTS deliveries (
    sink TEXT, number INTEGER, event INTEGER, dead TEXT DEFAULT '', PRIMARY KEY (sink, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT);
"""


class OutboxError(Exception):
    """The outbox cannot be read or written; the message names the file and the reason."""


class Corrupt(OutboxError):
    """The file is not a database, or its content is damaged: it has to be begun anew."""


class Database:
    """One file; raises OutboxError for whatever SQLite reports."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with self._reported():
            file.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(file, timeout=10.0, isolation_level=None, check_same_thread=False)
            file.chmod(0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._upgrade()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _number(self, key: str) -> int:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return int(row[0]) if row and str(row[0]).isdecimal() else 0

    def _keep_number(self, key: str, number: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, str(number)))

    def _upgrade(self) -> None:
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise OutboxError(f"{self._file}: written by a newer version ({found}); this one reads {VERSION}")
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._reported():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:  # a full disk has rolled it back already
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, RecursionError) as error:
            raise Corrupt(f"{self._file}: facts that are not JSON: {error}") from error
        except (sqlite3.Error, OSError) as error:
            kind = Corrupt if type(error) is sqlite3.DatabaseError else OutboxError  # SQLITE_CORRUPT, _NOTADB
            raise kind(f"{self._file}: {error}") from error
