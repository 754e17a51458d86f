"""What subscriber files said when they were good last, on disk: for the start of a gateway whose files are not.

An SQLite database with the text of each file: it is either as before a change or as after it, whenever the process
ends. It has no more than what is in force, so its size is bounded by that of the files. It is only a copy: a database
that is damaged is begun anew.

Edge: an SQLite file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from realmgw.errors import PlatformError
from realmgw.subscribers.files.listing import MAX_FILE, content

VERSION = 1
"""Of the table (`PRAGMA user_version`)."""
AT_ONCE = 256
"""So many files are copied in one transaction."""

_TABLE = """
CREATE TABLE IF NOT EXISTS good (source TEXT PRIMARY KEY, digest BLOB NOT NULL, hosts INT NOT NULL, text BLOB NOT NULL)
"""
_BESIDE = ("", "-journal")


@attrs.frozen
class Good:
    """What is in force of a file."""

    digest: bytes
    """Of its text."""
    hosts: int
    """How many it has."""


class LastGood:
    """The database, opened for each call.

    Args:
        path: Its file; the folder is made if it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def sources(self) -> dict[str, Good]:
        """What is kept, by the files' names; nothing if there is no database.

        Raises:
            PlatformError: It can not be read.
        """
        if not self._path.exists():
            return {}
        with self._opened() as database:
            return {
                source: Good(digest, hosts)
                for source, digest, hosts in database.execute("SELECT source, digest, hosts FROM good ORDER BY source")
            }

    def text(self, source: str) -> bytes | None:
        """What a file said; None if that is not known, or can not be read."""
        if not self._path.exists():
            return None
        try:
            with self._opened() as database:
                row = database.execute("SELECT text FROM good WHERE source = ?", (source,)).fetchone()
            return None if row is None else zlib.decompressobj().decompress(row[0], MAX_FILE)
        except (PlatformError, zlib.error):
            return None

    def keep(self, force: Mapping[str, Good]) -> int:
        """Copies the files that say what is in force, and forgets those of which nothing is.

        Args:
            force: What is in force, by the files' names.

        Returns:
            How many files say something else by now, so that they were not copied.

        Raises:
            PlatformError: The database can not be written; what was not copied is as it was.
        """
        with self._opened() as database:
            kept = dict(database.execute("SELECT source, digest FROM good"))
            with database:
                gone = [(source,) for source in kept if source not in force]
                database.executemany("DELETE FROM good WHERE source = ?", gone)
            new = [(source, good) for source, good in force.items() if kept.get(source) != good.digest]
            copied = 0
            for begin in range(0, len(new), AT_ONCE):
                rows = [row for each in new[begin : begin + AT_ONCE] if (row := _row(*each)) is not None]
                copied += len(rows)
                with database:
                    database.executemany("INSERT OR REPLACE INTO good VALUES (?, ?, ?, ?)", rows)
            return len(new) - copied

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """The database; a damaged one is removed, and the next call begins a new one."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(self._connected()) as database:
                yield database
        except sqlite3.OperationalError as error:
            raise PlatformError(f"{self._path}: {error}") from error
        except sqlite3.DatabaseError as error:
            self._remove()
            raise PlatformError(f"{self._path}: {error}: it was removed") from error
        except OSError as error:
            raise PlatformError(f"{self._path}: {error.strerror}: let {self._path.parent} be ours to write") from error

    def _connected(self) -> sqlite3.Connection:
        database = self._begun()
        if database.execute("PRAGMA user_version").fetchone() != (VERSION,):
            database.close()
            self._remove()
            database = self._begun()
        return database

    def _begun(self) -> sqlite3.Connection:
        is_new = not self._path.exists()
        if is_new:
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        database = sqlite3.connect(self._path, timeout=1.0)
        if database.execute("PRAGMA user_version").fetchone() == (0,):
            with database:
                database.execute(_TABLE)
                database.execute(f"PRAGMA user_version = {VERSION}")
        return database

    def _remove(self) -> None:
        for ending in _BESIDE:
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)


def _row(source: str, good: Good) -> tuple[str, bytes, int, bytes] | None:
    """A file as it is kept; None if it says something else by now."""
    try:
        found = content(Path(source))
    except OSError:
        return None
    return (source, good.digest, good.hosts, zlib.compress(found.text, 1)) if found.digest == good.digest else None
