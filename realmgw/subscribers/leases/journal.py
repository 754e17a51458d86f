"""What is registered, on disk: an SQLite database that has what is registered now, and nothing of what was before.

A change that was kept is there whenever the process ends, and after a loss of power too: SQLite waits for the disk
(`PRAGMA synchronous = FULL`). All that changes in one turn is one write. The file's size is bounded by what is
registered; what SQLite has beside it (`-wal`) begins anew every thousand pages.

Nothing here is called from the reactor's thread. Edge: an SQLite file.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection
from pathlib import Path

from realmgw.subscribers.leases.book import Lease
from realmgw.subscribers.leases.records import Record
from realmgw.system.database import Database

VERSION = 1
"""Of the tables (`PRAGMA user_version`)."""

_TABLES = """
CREATE TABLE leases (
    name TEXT PRIMARY KEY, key TEXT NOT NULL, since REAL NOT NULL, refreshed REAL NOT NULL, life REAL NOT NULL,
    records TEXT NOT NULL
) WITHOUT ROWID;
"""


class Journal:
    """The database, opened when it is first needed; not before anything is registered.

    Args:
        path: Its file; the folder is made if it is missing.
        wall: The time of day, in seconds.

    Attributes:
        set_aside: Damaged files, and those of another version, were moved here.
    """

    def __init__(self, path: Path, wall: Callable[[], float]) -> None:
        self.path = path
        self._database = Database(path, wall, _TABLES, VERSION, "FULL")
        self.set_aside = self._database.set_aside

    def read(self) -> list[Lease]:
        """All that is kept, by name; nothing if there is no file. A damaged file is set aside.

        Raises:
            PlatformError: The file can not be read.
        """
        if not self.path.exists():
            return []
        query = "SELECT name, key, since, refreshed, life, records FROM leases ORDER BY name"
        rows = self._database.run(lambda database: database.execute(query).fetchall())
        return [Lease(name, _read(name, text), *more) for name, *more, text in rows]

    def write(
        self, leases: Collection[Lease], gone: Collection[str], every: Callable[[], Collection[Lease]] = tuple
    ) -> None:
        """Keeps leases as they are now, and forgets others; all of it or nothing.

        Args:
            leases: New and different ones.
            gone: Names at which nothing is registered any more.
            every: All that is registered now: kept as well when the file is gone or damaged, and begun anew.

        Raises:
            PlatformError: The file can not be written; it is as it was.
        """
        is_lost, before = not self.path.exists(), len(self.set_aside)
        if is_lost:
            self._database.close()  # what is written to a file that was removed is nowhere

        def write(database: sqlite3.Connection) -> None:
            is_anew = is_lost or bool(self.set_aside[before:])
            _write(database, [*every(), *leases] if is_anew else leases, gone)

        self._database.run(write)

    def close(self) -> None:
        """Lets go of the file; a later call opens it again."""
        self._database.close()


def _write(database: sqlite3.Connection, leases: Collection[Lease], gone: Collection[str]) -> None:
    rows = [(each.name, each.key, each.since, each.refreshed, each.life, _written(each)) for each in leases]
    with database:
        database.executemany("DELETE FROM leases WHERE name = ?", [(name,) for name in gone])
        database.executemany("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?)", rows)


def _written(lease: Lease) -> str:
    return json.dumps([(each.type, each.ttl, each.data.hex()) for each in lease.records])


def _read(name: str, text: str) -> tuple[Record, ...]:
    return tuple(Record(name, kind, ttl, bytes.fromhex(data)) for kind, ttl, data in json.loads(text))
