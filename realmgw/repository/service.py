"""The database: one connection writes, some read, others wait for a new version. Edge: an SQLite file, threads."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from twisted.application.service import Service
from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from realmgw.errors import PlatformError
from realmgw.repository import store
from realmgw.repository.store import EmptyError
from realmgw.subscribers.exchange import MAX_IDENTITY
from realmgw.system import disk
from realmgw.system.disk import Hold, exposed, stranger

FOLDER_MODE = 0o700
"""Of the database's folder, when it is made here."""
FILE_MODE = 0o600
"""Of the database, when it is made here."""
READERS = 4
"""How many transactions read at the same time."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class StoreService(Service):
    """The documents' database while it is open.

    A file beside the database keeps its identity. Where that is and the database is not, something was lost, and no
    new database is made in its place.

    Attributes:
        identity: The repository's; empty before the start.
        version: The present version; empty before the start.
    """

    name = "repository store"

    def __init__(self, path: Path, clock: IReactorTime) -> None:
        """Takes the database's file, which is made at the start where there never was one, and the reactor."""
        self.identity = self.version = ""
        self._mark = path.with_name(f"{path.name}.identity")
        self._hold = Hold(path.with_name(f"{path.name}.held"), f"the database {path}")
        self._path = path
        self._clock = clock
        self._inode = 0
        self._writer: Any = None
        self._readers: Any = None
        self._waiting: set[Deferred[None]] = set()

    def startService(self) -> Deferred[None]:
        """Opens the database.

        Returns:
            Fires when it can be used; fails with PlatformError when it can not, and all is as it was.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        started: Deferred[None] = maybeDeferred(self._start)
        return started.addErrback(self._undo)

    def _start(self) -> Deferred[None]:
        make_folder(self._path.parent, FOLDER_MODE)
        self._hold.take()
        marked = self._marked()
        try:
            self._inode = self._found(marked)
        except OSError as error:
            raise PlatformError(f"{self._path} can not be used as the database: {error.strerror}") from None
        self._writer = self._pool("writer", 1)
        self._readers = self._pool("readers", READERS)
        return self._open(marked)

    def _undo(self, failure: Failure) -> Failure:
        self.stopService()
        return failure

    def stopService(self) -> None:
        """Closes the database, after what is under way; whoever waits for a version is told that there is none."""
        if self.running:
            super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._wake()
        for pool in (self._writer, self._readers):
            if pool is not None:
                pool.close()
        self._writer = self._readers = None
        self._hold.release()

    def read(
        self, function: Callable[Concatenate[store.Cursor, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Deferred[_T]:
        """Runs a function within a transaction that sees one version throughout.

        Returns:
            Fires with what it returns, or fails with what it raises, or with sqlite3.Error.
        """
        done: Deferred[_T] = self._readers.runInteraction(self._within, "BEGIN", function, *args, **kwargs)
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
        done = run(self._within, "BEGIN IMMEDIATE", _with_version, function, *args, **kwargs)
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
        if version != self.version or patience <= 0 or not self.running:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._waiting.discard)
        self._waiting.add(waiting)
        return waiting.addTimeout(patience, self._clock, lambda _cancelled, _seconds: None)

    def _pool(self, name: str, size: int) -> Any:
        return ConnectionPool(  # type: ignore[no-untyped-call]  # Twisted does not say
            "sqlite3",
            f"file:{quote(str(self._path.absolute()))}?mode=rw",  # what was removed is not made again
            uri=True,
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
    def _open(self, marked: str) -> Any:
        try:
            self.identity = yield self.write(store.create, begins=not marked)
        except sqlite3.Error as error:
            raise PlatformError(f"{self._path} can not be used as the database: {error}") from error
        except EmptyError:
            raise self._lost(marked) from None
        if self.identity != marked:
            disk.write(self._mark, f"{self.identity}\n".encode())

    def _found(self, marked: str) -> int:
        """The number of the database's file, which is made where there never was one."""
        if not self._path.exists():
            if marked:
                raise self._lost(marked)
            self._path.touch(mode=FILE_MODE)
        if not self._path.is_file():
            raise OSError(errno.EINVAL, "it is not a regular file")
        return self._path.stat().st_ino

    def _marked(self) -> str:
        """The identity of the database that was here the last time; empty if there never was one."""
        try:
            return disk.read(self._mark, MAX_IDENTITY).decode().strip()
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            raise PlatformError(f"{self._mark} can not be read: {error}") from None

    def _lost(self, marked: str) -> PlatformError:
        return PlatformError(
            f"the database {self._path} is gone or empty, and it was the one of repository {marked}: put a copy of it"
            f" back; or, to begin anew with nothing, remove {self._mark}"
        )

    def _within(
        self, transaction: store.Cursor, begin: str, function: Callable[..., _T], *args: Any, **kwargs: Any
    ) -> _T:
        """Begins the transaction, which adbapi commits, or rolls back when something is raised. In a thread."""
        if not (self._path.exists() and self._path.stat().st_ino == self._inode):
            raise sqlite3.OperationalError(f"{self._path} was removed or exchanged while it is in use")
        transaction.execute(begin)
        return function(transaction, *args, **kwargs)

    def _wake(self) -> None:
        for waiting in tuple(self._waiting):
            self._waiting.discard(waiting)
            waiting.callback(None)


def make_folder(path: Path, mode: int) -> None:
    """Makes a folder, and those above it, where they are missing.

    Args:
        path: The folder.
        mode: Its own, whatever the process's umask is.

    Raises:
        PlatformError: That is not possible, or others may put files there, or in its place.
    """
    who, owner = exposed(path), stranger(path)
    if who or owner is not None:
        who = who or f"{path} is user {owner}'s"
        raise PlatformError(f"{who}: strangers could take the place of what is in {path}: let it be ours alone")
    try:
        if not path.is_dir():
            path.mkdir(parents=True)
            path.chmod(mode)
    except OSError as error:
        raise PlatformError(f"the folder {path} can not be made: {error.strerror}") from error


def _with_version(cursor: store.Cursor, function: Callable[..., _T], *args: Any, **kwargs: Any) -> tuple[_T, str]:
    result = function(cursor, *args, **kwargs)
    return result, store.version(cursor)
