"""Reputations on disk: an SQLite database that is either as before a write or as after it, whenever the process ends.

Nothing here is called from the reactor's thread: `realmgw.allocation.service.ReputationService` has one for it. What a
row says is not known here; it is a text under a key, with other keys that it takes the place of.

Edge: an SQLite file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import attrs

from realmgw.errors import PlatformError

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
_BESIDE = ("", "-wal", "-shm")  # what SQLite has beside a database in WAL mode belongs to it


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


class _DamagedError(Exception):
    """The file is no database, or not one that we can read."""


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
        self.set_aside: list[Path] = []
        self._wall = wall
        self._database: sqlite3.Connection | None = None

    def read(self) -> list[AgedRow]:
        """Reads all rows that are not too old, those written last first.

        A damaged file is set aside, and a new one is begun: see `set_aside`.

        Raises:
            PlatformError: The file can not be had; the next call tries again.
        """
        now = self._wall()
        with self._refusals():
            found = self._try(
                "SELECT key, written, body FROM reputation WHERE written > ? ORDER BY written DESC LIMIT ?",
                (now - KEPT, self.limit),
            )
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
        with self._refusals():
            try:
                self._write(self._open(), rows, gone)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._put_aside()
                self._write(self._open(), rows, gone)
        return len(self.set_aside) == before

    def trim(self) -> None:
        """Removes rows that are too old, and the oldest ones if there are too many.

        Raises:
            PlatformError: The file can not be written; it is as it was.
        """
        with self._refusals():
            database = self._open()
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
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(sqlite3.Error):  # what was written is written
                database.close()

    def _try(self, query: str, values: tuple[float, int]) -> list[tuple[str, float, str]]:
        """The rows of a query; of a damaged file, what is left of it: nothing."""
        try:
            return self._open().execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._put_aside()
            return self._open().execute(query, values).fetchall()

    def _write(self, database: sqlite3.Connection, rows: Collection[Row], gone: Collection[str]) -> None:
        now = self._wall()
        stale = {key for row in rows for key in row.replaces} | set(gone)
        with database:
            database.executemany("DELETE FROM reputation WHERE key = ?", [(key,) for key in stale])
            database.executemany(
                "INSERT OR REPLACE INTO reputation VALUES (?, ?, ?)", [(row.key, now, row.body) for row in rows]
            )

    def _open(self) -> sqlite3.Connection:
        """The database, with our tables."""
        if self._database is None:
            try:
                self._database = self._connect()
            except _DamagedError:
                self._put_aside()
                self._database = self._connect()
        return self._database

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        database = sqlite3.connect(self.path, check_same_thread=False)
        try:
            _prepare(database)
        except BaseException:
            database.close()
            raise
        return database

    def _put_aside(self) -> None:
        """Moves the file, and what belongs to it, out of the way; nothing is deleted."""
        self.close()
        place = next(_places(self.path, self._wall()))
        for end in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{end}").rename(f"{place}{end}")
        self.set_aside.append(place)

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        """Says in one line what the machine refuses."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise PlatformError(
                f"{self.path} can not be used: {error}: let {self.path.parent} be ours to write, and have room"
            ) from error


def _places(path: Path, now: float) -> Iterator[Path]:
    """Where a damaged file may go: names that nobody has yet."""
    number = int(now)
    while True:
        place = path.with_name(f"{path.name}.damaged-{number}")
        if not place.exists():
            yield place
        number += 1


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is at fault; what the machine refuses, and what we do wrong, has classes of its own."""
    return type(error) is sqlite3.DatabaseError


def _prepare(database: sqlite3.Connection) -> None:
    """Makes the tables of a new file, and looks whether an old one is whole and ours.

    Raises:
        _DamagedError: It is neither.
    """
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # after a loss of power the last writes may be missing
        [(version,)] = database.execute("PRAGMA user_version").fetchall()
        [(found,)] = database.execute("PRAGMA quick_check(1)").fetchall()
        if found != "ok" or version not in (0, VERSION):
            raise _DamagedError
        if version == 0:
            database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
    except sqlite3.DatabaseError as error:
        if _is_damage(error):
            raise _DamagedError from error
        raise
