"""The database and its threads: one connection that writes, some that read, and who waits for a new version."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from twisted.application.service import Service
from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import IReactorTime

from realmgw.errors import PlatformError
from realmgw.repository import store

READERS = 4
"""How many transactions read at the same time."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class StoreService(Service):
    """The documents' database while it is open.

    Attributes:
        version: The present version; empty before the start.
    """

    name = "repository store"

    def __init__(self, path: Path, clock: IReactorTime) -> None:
        """Takes the database's file, which is made at the start when there is none, and the reactor."""
        self.version = ""
        self._path = path
        self._clock = clock
        self._writer: Any = None
        self._readers: Any = None
        self._waiting: set[Deferred[None]] = set()

    def startService(self) -> Deferred[None]:
        """Opens the database.

        Returns:
            Fires when it can be used; fails with PlatformError when it can not.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._writer = self._pool("writer", 1)
        self._readers = self._pool("readers", READERS)
        return self._open()

    def stopService(self) -> None:
        """Closes the database, after what is under way; whoever waits for a version is told that there is none."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._wake()
        for pool in (self._writer, self._readers):
            pool.close()

    def read(
        self, function: Callable[Concatenate[store.Cursor, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        """Runs a function within a transaction that sees one version throughout.

        Returns:
            Fires with what it returns, or fails with what it raises, or with sqlite3.Error.
        """
        done: Deferred[_T] = self._readers.runInteraction(_within, "BEGIN", function, *args, **kwargs)
        return done

    def write(
        self, function: Callable[Concatenate[store.Cursor, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        """Runs a function within a transaction that may change everything; they run one after the other.

        Returns:
            Fires with what it returns, when it is on the disk. It fails with what it raises, or with sqlite3.Error, and
            then nothing has changed. To cancel it does not stop the transaction.
        """
        run = self._writer.runInteraction
        done = run(_within, "BEGIN IMMEDIATE", _with_version, function, *args, **kwargs)
        result: Deferred[_T] = Deferred()
        done.addCallback(self._committed).chainDeferred(result)
        return result

    def _committed(self, outcome: tuple[_T, str]) -> _T:
        result, version = outcome
        if version != self.version:
            self.version = version
            self._wake()
        return result

    def changed(self, version: str, patience: float) -> Deferred[None]:
        """Waits for another version.

        Args:
            version: The one that is known.
            patience: How long, in seconds.

        Returns:
            Fires when there is another one, or when the time is over, or at the stop. It may be cancelled.
        """
        waiting: Deferred[None] = Deferred(self._waiting.discard)
        if version != self.version or patience <= 0 or not self.running:
            waiting.callback(None)
            return waiting
        self._waiting.add(waiting)
        timer = self._clock.callLater(patience, self._wake_one, waiting)
        return waiting.addBoth(_stop_timer, timer)

    def _pool(self, name: str, size: int) -> Any:
        return ConnectionPool(  # type: ignore[no-untyped-call]  # Twisted does not say
            "sqlite3",
            str(self._path),
            isolation_level=None,  # transactions begin where we say so
            check_same_thread=False,  # the pool closes connections from another thread than it opens them in
            cp_min=1,
            cp_max=size,
            cp_name=f"repository {name}",
            cp_noisy=False,
            cp_openfun=store.prepare,
            cp_reactor=self._clock,
        )

    @inlineCallbacks
    def _open(self) -> Any:
        try:
            yield self.write(store.create)
        except sqlite3.Error as error:
            raise PlatformError(f"{self._path} can not be used as the database: {error}") from error

    def _wake(self) -> None:
        for waiting in tuple(self._waiting):
            self._wake_one(waiting)

    def _wake_one(self, waiting: Deferred[None]) -> None:
        self._waiting.discard(waiting)
        waiting.callback(None)


def _within(transaction: store.Cursor, begin: str, function: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
    """Begins the transaction, which adbapi commits, or rolls back when something is raised."""
    transaction.execute(begin)
    return function(transaction, *args, **kwargs)


def _with_version(cursor: store.Cursor, function: Callable[..., _T], *args: Any, **kwargs: Any) -> tuple[_T, str]:
    result = function(cursor, *args, **kwargs)
    return result, store.version(cursor)


def _stop_timer(result: _T, timer: Any) -> _T:
    if timer.active():
        timer.cancel()
    return result
