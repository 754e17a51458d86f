"""Reputations on disk: an SQLite database that is either as before a write or as after it, whenever the process ends.

Nothing here is called from the reactor's thread: `realmgw.allocation.service.ReputationService` has one for it. What a
row says is not known here; it is a text under a key, with other keys that it takes the place of.

Edge: an SQLite file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection
from pathlib import Path

import attrs

from realmgw.system.database import Database

VERSION = 1
"""Of the tables (`PRAGMA user_version`)."""
KEPT = 30 * 86_400.0  # seconds
"""A row that was not written for so long is of no use any more."""
SLACK = 1.25
"""So many times the limit of rows are in the file before the oldest are removed."""

_TABLES = """
CREATE TABLE reputation (key TEXT PRIMARY KEY, written REAL NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX reputation_by_age ON reputation (written);
"""


@attrs.frozen
class Row:
    """What is kept under a key."""

    key: str
    """By this it is found."""
    body: str
    """What is kept."""
    replaces: tuple[str, ...] = ()
    """Keys whose rows it takes the place of, beside its own."""


@attrs.frozen
class AgedRow:
    """A row as it was read."""

    row: Row
    """It; `replaces` is empty."""
    age: float
    """How many seconds ago it was written, by the wall clock; 0.0 if that was set back since."""


class ReputationFile:
    """The database, opened when it is first needed.

    Args:
        path: Its file; the folder is made if it is missing.
        wall: The time of day in seconds; it goes on while no process runs.
        limit: How many rows are kept; those that were not written for longest go first.

    Attributes:
        limit: The same; it may be changed at any time.
        set_aside: Damaged files were moved here, the last one last.
    """

    def __init__(self, path: Path, wall: Callable[[], float], limit: int) -> None:
        self.path = path
        self.limit = limit
        self._wall = wall
        self._database = Database(path, wall, _TABLES, VERSION)
        self.set_aside = self._database.set_aside

    def read(self) -> list[AgedRow]:
        """Reads all rows that are not too old, those written last first.

        A damaged file is set aside, and a new one is begun: see `set_aside`.

        Raises:
            PlatformError: The file can not be had; the next call tries again.
        """
        now = self._wall()
        query = "SELECT key, written, body FROM reputation WHERE written > ? ORDER BY written DESC LIMIT ?"
        found = self._database.run(lambda database: database.execute(query, (now - KEPT, self.limit)).fetchall())
        return [AgedRow(Row(key, body), max(0.0, now - written)) for key, written, body in found]

    def write(self, rows: Collection[Row], gone: Collection[str] = ()) -> bool:
        """Writes rows, and removes others; all of it or nothing.

        Args:
            rows: New or different ones.
            gone: Keys whose rows are removed; those of `rows` stay.

        Returns:
            False when the file was damaged: it was set aside, and the new one has these rows only. Whoever has more
            writes them again.

        Raises:
            PlatformError: The file can not be written; it is as it was.
        """
        before = len(self.set_aside)
        self._database.run(lambda database: self._write(database, rows, gone))
        return len(self.set_aside) == before

    def trim(self) -> None:
        """Removes rows that are too old, and the oldest ones if there are too many.

        Raises:
            PlatformError: The file can not be written; it is as it was.
        """
        with self._database.refusals():
            database = self._database.open()
            [(count,)] = database.execute("SELECT count(*) FROM reputation").fetchall()
            if count > self.limit * SLACK:
                with database:
                    database.execute("DELETE FROM reputation WHERE written <= ?", (self._wall() - KEPT,))
                    database.execute(
                        "DELETE FROM reputation WHERE key IN (SELECT key FROM reputation ORDER BY written DESC"
                        " LIMIT -1 OFFSET ?)",
                        (self.limit,),
                    )

    def close(self) -> None:
        """Lets go of the file; a later call opens it again."""
        self._database.close()

    def _write(self, database: sqlite3.Connection, rows: Collection[Row], gone: Collection[str]) -> None:
        now = self._wall()
        stale = {key for row in rows for key in row.replaces} | set(gone)
        with database:
            database.executemany("DELETE FROM reputation WHERE key = ?", [(key,) for key in stale])
            database.executemany(
                "INSERT OR REPLACE INTO reputation VALUES (?, ?, ?)", [(row.key, now, row.body) for row in rows]
            )
