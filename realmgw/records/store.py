"""The database of records and accounts, as the recorder writes it. Edge: an SQLite file, the clock."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from realmgw.errors import PlatformError
from realmgw.records import tables
from realmgw.records.lasting import Counted
from realmgw.records.record import Record
from realmgw.records.tables import Accounts
from realmgw.system.database import Database

KEPT = 1.0  # seconds
"""How often it is written."""
TRY_AGAIN = 10.0  # seconds
"""How soon a file that could not be had, or written, is tried again."""
LOOK = 600.0  # seconds
"""How often it is looked what is too old."""


class Store:
    """Keeps records for a while, so many at most, and adds them up.

    Args:
        path: The file.
        rows: So many records at most.
        days: None for longer.
        clock: The present, in seconds since 1970.
        monotonic: What is not put back, in seconds: when something is done next goes by it.

    Attributes:
        problem: What is wrong; empty: nothing.
        unkept: So many records could not be kept.
    """

    def __init__(
        self,
        path: Path,
        rows: int,
        days: float,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = Database(path, clock, tables.TABLES, tables.VERSION, upgrades=tables.UPGRADES)
        self._rows, self._days, self._clock, self._monotonic = rows, days, clock, monotonic
        self._waiting = list[Record]()
        self._accounts = Accounts()
        self._keep_at = self._look_at = self._again_at = -math.inf
        self.problem = ""
        self.unkept = 0

    def add(self, told: Iterable[Counted]) -> None:
        """Records, to be kept soon, each with what was told of its flow before; of one that lasts, only the sums."""
        for record, before in told:
            self.unkept += not self._accounts.add(record, before)
            if record.event != tables.LASTS:
                self._waiting.append(record)

    def keep(self, *, now: bool = False) -> None:
        """Keep what has come, if it is time to; records that can not be kept are counted, and forgotten.

        What is added up is tried again. Not at once: to open the file takes as long as to read all of it.

        Args:
            now: It is time.
        """
        at = self._monotonic()
        if at < self._keep_at and not now:
            return
        self._keep_at = at + KEPT
        records, self._waiting = self._waiting, []
        if at < self._again_at and not now:
            self.unkept += len(records)
            return
        sums = self._accounts.take()
        if not (records or sums) and at < self._look_at:
            return

        def write(database: sqlite3.Connection) -> None:
            with database:
                database.executemany(tables.KEEP, map(tables.row, records))
                database.executemany(tables.ADD, tables.rows(sums))
                database.execute(tables.FEWER, (self._rows,))
                if at >= self._look_at:
                    oldest = self._clock() - self._days * tables.DAY
                    for statement in tables.OLD:
                        database.execute(statement, {"oldest": oldest})

        try:
            self._database.run(write)
        except PlatformError as error:
            self.problem, self.unkept = str(error), self.unkept + len(records)
            self._accounts.put_back(sums)
            self._again_at = at + TRY_AGAIN
            return
        self.problem = ""
        if at >= self._look_at:
            self._look_at = at + LOOK

    def close(self) -> None:
        """Keep what has come, and let go of the file."""
        self.keep(now=True)
        self._database.close()
