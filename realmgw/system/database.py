"""An SQLite database of ours: as before a write or as after it, whenever the process ends.

A file that is damaged, or of a version that is not known, is set aside, and a new one is begun: nothing is deleted.
What a full disk has is read all the same.

Edge: an SQLite file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from realmgw.errors import PlatformError

T = TypeVar("T")

_BESIDE = ("", "-wal", "-shm")  # what SQLite has beside a database in WAL mode belongs to it


class _DamagedError(Exception):
    """The file is no database, or not one that we can read."""


class Database:
    """The file, opened when it is first needed. Not for several threads at once.

    Args:
        path: Its file; the folder is made if it is missing.
        wall: The time of day in seconds; it goes on while no process runs.
        tables: What makes them, in SQL.
        version: Of the tables (`PRAGMA user_version`).
        synchronous: What SQLite waits for: FULL, and what was written outlasts a loss of power; NORMAL, and the last
            writes may be missing after one.
        upgrades: By an earlier version, what makes its tables those of this one, in SQL.

    Attributes:
        set_aside: Damaged files were moved here, the last one last.
    """

    def __init__(
        self,
        path: Path,
        wall: Callable[[], float],
        tables: str,
        version: int,
        synchronous: str = "NORMAL",
        upgrades: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        self.path = path
        self.set_aside: list[Path] = []
        self._wall = wall
        self._version = version
        self._scripts = {0: tables, **upgrades}
        self._synchronous = synchronous
        self._database: sqlite3.Connection | None = None
        self._is_alone = False

    def run(self, do: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with it; if the file turns out to be damaged, once more with a new one.

        Raises:
            PlatformError: The file can not be had or written: it is as it was, and the next call tries again.
        """
        with self.refusals(), self._for_once():
            try:
                return do(self.open())
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._put_aside()
                return do(self.open())

    def open(self) -> sqlite3.Connection:
        """The database, with our tables."""
        if self._database is None:
            try:
                self._database = self._connect()
            except _DamagedError:
                self._put_aside()
                self._database = self._connect()
        return self._database

    def close(self) -> None:
        """Lets go of the file; a later call opens it again."""
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(sqlite3.Error):  # what was written is written
                database.close()

    @contextlib.contextmanager
    def refusals(self) -> Iterator[None]:
        """Says in one line what the machine refuses."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise PlatformError(
                f"{self.path} can not be used: {error}: let {self.path.parent} be ours to write, and have room"
            ) from error

    @contextlib.contextmanager
    def _for_once(self) -> Iterator[None]:
        """What nobody else could open meanwhile is not kept open."""
        try:
            yield
        finally:
            if self._is_alone:
                self.close()

    def _connect(self, *, alone: bool = False) -> sqlite3.Connection:
        """Opens the file.

        Args:
            alone: Nobody else may, until it is closed; then it needs no second file (`-shm`), for which a full disk has
                no room though it would be read only.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        database = sqlite3.connect(self.path, check_same_thread=False)
        try:
            if alone:
                database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._prepare(database)
        except BaseException as error:
            database.close()
            if alone or not isinstance(error, sqlite3.OperationalError) or "locked" in str(error):
                raise
            return self._connect(alone=True)
        self._is_alone = alone
        return database

    def _prepare(self, database: sqlite3.Connection) -> None:
        """Makes the tables of a new file, and looks whether an old one is whole and ours.

        Raises:
            _DamagedError: It is neither.
        """
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(f"PRAGMA synchronous = {self._synchronous}")
            [(version,)] = database.execute("PRAGMA user_version").fetchall()
            [(found,)] = database.execute("PRAGMA quick_check(1)").fetchall()
            if found != "ok" or version not in (*self._scripts, self._version):
                raise _DamagedError
            if version in self._scripts:
                database.executescript(
                    f"BEGIN; {self._scripts[version]} PRAGMA user_version = {self._version}; COMMIT;"
                )
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                raise _DamagedError from error
            raise

    def _put_aside(self) -> None:
        """Moves the file, and what belongs to it, out of the way; nothing is deleted."""
        self.close()
        place = next(_places(self.path, self._wall()))
        for end in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{end}").rename(f"{place}{end}")
        self.set_aside.append(place)


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
