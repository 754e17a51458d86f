"""Repositories: where subscribers come from. One interface, whatever is behind it; here the folders of files."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import attrs
from twisted.application.service import Service
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator, LoopingCall, SchedulerStopped
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.config.settings import Zone
from realmgw.errors import PlatformError
from realmgw.subscribers.files import gather
from realmgw.subscribers.snapshot import NOTHING, Snapshot, difference, following

SETTLE = 0.3  # seconds
"""How long nothing must happen in a folder before it is read: editors and copies take several steps."""
PATIENCE = 3.0  # seconds
"""How long a folder that does not come to rest is not read."""

RECALL_INTERVAL = 60.0  # seconds
"""How often it is looked whether what is served has changed, so that it is to be kept for the next start."""
RECALL_PAUSE = 0.001  # seconds
"""Between the steps of that."""

T = TypeVar("T")

_log = Logger()

# linux/inotify.h: something was written, moved in or out, made or removed; or the folder itself was.
_MASK = 0x00000008 | 0x00000040 | 0x00000080 | 0x00000100 | 0x00000200 | 0x00000400 | 0x00000800


class Repository(Protocol):
    """Where subscribers and policies come from. Never asked on the hot path."""

    def recalled(self) -> Deferred[Snapshot]:
        """Reads what was in force in an earlier life of the program; to be called once, before `watch`.

        Returns:
            Fires with that, or with `NOTHING`. It does not fail: what can not be read is told as a fault.
        """

    def watch(self, changed: Callable[[Snapshot], None]) -> None:
        """Begins to ask what there is, and for changes; ends with `unwatch`. One watcher at a time.

        Args:
            changed: Called with each snapshot that differs from the one before, in which what did not change is the
                same object as in the one in force. What it raises is logged.
        """

    def accept(self, snapshot: Snapshot) -> None:
        """What the watcher was told is in force; until then the one before is what a next life begins with.

        Args:
            snapshot: It; nothing happens if it is not the one that was told last.
        """

    def report(self) -> dict[str, Any]:
        """How it is, for `status`: plain values."""

    def unwatch(self) -> Deferred[None]:
        """Ends looking for changes; does nothing when nobody looks.

        Returns:
            Fires when all is at rest.
        """


class FolderWatch(FileDescriptor):
    """Tells when something changes in folders, by inotify.

    A folder that is not there is waited for in the nearest one above it that is.

    Args:
        folders: What to look at.
        changed: Called when they have come to rest after a change; it may be called when there is none.
        reactor: Twisted's.

    Raises:
        PlatformError: The kernel gives no inotify descriptor.
    """

    def __init__(self, folders: Iterable[Path], changed: Callable[[], None], reactor: Any) -> None:
        super().__init__(reactor)
        self._clock = reactor
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._folders = tuple(folders)
        self._changed = changed
        self._timer: Any = None
        self._since = 0.0
        self._descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            why = os.strerror(ctypes.get_errno())
            raise PlatformError(f"inotify: {why}: raise fs.inotify.max_user_instances, or reload by SIGHUP")
        self.connected = 1
        self._look()
        self.startReading()  # type: ignore[no-untyped-call]  # Twisted does not say

    def fileno(self) -> int:
        """The inotify descriptor."""
        return self._descriptor

    def doRead(self) -> None:
        """Something happened. What it was does not matter, not even that some of it was lost."""
        try:
            while os.read(self._descriptor, 2**16):
                pass
        except BlockingIOError:
            pass
        now = self._clock.seconds()
        if self._timer is None or not self._timer.active():
            self._since = now
            self._timer = self._clock.callLater(SETTLE, self._settled)
        elif now - self._since < PATIENCE - SETTLE:
            self._timer.reset(SETTLE)

    def stop(self) -> None:
        """Looks no more."""
        self.stopReading()  # type: ignore[no-untyped-call]  # Twisted does not say
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops, or can not read any more."""
        del reason
        self.stop()

    def _settled(self) -> None:
        self._look()  # folders may have been made, removed or exchanged
        self._changed()

    def _look(self) -> None:
        for folder in self._folders:
            there = next((path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir()), Path("/"))
            if self._libc.inotify_add_watch(self._descriptor, os.fsencode(there), _MASK) < 0:
                why = os.strerror(ctypes.get_errno())
                _log.error("changes in {path} are not noticed: {why}", path=there, why=why)


class FileRepository:
    """Drop-in folders; see `Repository`.

    Args:
        folders: Where the files are; in a later folder, a file of the same name replaces the earlier one.
        zones: Every zone of the gateway.
        in_thread: Calls a function in a thread: `in_thread(function, *args)`.
        reactor: Twisted's.
    """

    def __init__(
        self,
        folders: Iterable[Path],
        zones: Iterable[Zone],
        in_thread: Callable[..., Deferred[Any]],
        reactor: Any,
    ) -> None:
        self._folders = tuple(folders)
        self._zones = tuple(zones)
        self._in_thread = in_thread
        self._reactor = reactor
        self._known = NOTHING
        self._number = 0
        self._watch: FolderWatch | None = None

    def snapshot(self) -> Deferred[Snapshot]:
        """Reads every file."""
        done: Deferred[Snapshot] = self._in_thread(self._read)
        return done.addCallback(self._keep)

    def watch(self, changed: Callable[[Snapshot], None]) -> None:
        """Begins to look at the folders; `changed` is told after the files have been read.

        Raises:
            PlatformError: The kernel gives no inotify descriptor.
        """

        def tell(former: Snapshot) -> None:
            def compare(new: Snapshot) -> None:
                if new is not former:
                    changed(new)

            self.snapshot().addCallback(compare).addErrback(
                lambda failure: _log.failure("a change of the folders was not taken", failure)
            )

        self._watch = FolderWatch(self._folders, lambda: tell(self._known), self._reactor)

    def unwatch(self) -> Deferred[None]:
        """Ends looking."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        return succeed(None)

    def _read(self) -> Snapshot:
        entries, problems = gather(self._folders, self._zones)
        return Snapshot("", {entry.name: entry for entry in entries}, problems=problems)

    def _keep(self, read: Snapshot) -> Snapshot:
        """The snapshot, which is the former one if nothing changed."""
        new = following(self._known, read)
        is_first = self._known is NOTHING
        if is_first or new.problems != self._known.problems or difference(self._known, new):
            self._number += 1
            self._known = attrs.evolve(new, version=f"files {self._number}")
        return self._known


class RecallService(Service):
    """Keeps what is served for the next start, every now and then when it has changed.

    Args:
        units: What every source says (`Register.units`): another object when anything has changed.
        written: Puts together what is to be kept, step by step (`recall.written`).
        write: Keeps it.
        clock: The reactor.
        is_kept: What is served when the gateway starts was kept by an earlier one; if not, it is kept at once.
    """

    name = "recall"

    def __init__(
        self,
        units: Callable[[], object],
        written: Callable[[], Generator[None, None, bytes | None]],
        write: Callable[[bytes], Deferred[None]],
        clock: IReactorTime,
        *,
        is_kept: bool,
    ) -> None:
        self._is_kept = is_kept
        self._units = units
        self._written = written
        self._write = write
        self._kept: object = None
        # One step at a time, so that queries and packets do not wait.
        self._cooperator = Cooperator(lambda: lambda: True, lambda turn: clock.callLater(RECALL_PAUSE, turn))
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock

    def startService(self) -> None:
        """Looks for the first time."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._kept = self._units() if self._is_kept else None
        self._loop.start(RECALL_INTERVAL, now=True)

    def stopService(self) -> None:
        """What has changed since the last time is read again by the next start."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        if self._loop.running:
            self._loop.stop()
            self._cooperator.stop()

    @inlineCallbacks
    def _look(self) -> Generator[Deferred[Any], Any, None]:
        units = self._units()
        if units is self._kept:
            return
        texts: list[bytes | None] = []
        try:
            yield self._cooperator.coiterate(_gathered(self._written(), texts))
            [text] = texts
            if text is not None:  # else the next look finds what has changed meanwhile
                yield self._write(text)
                self._kept = units
        except SchedulerStopped:
            return
        except PlatformError as error:
            self._kept = units  # there is nothing to be gained by trying again before something changes
            _log.warn("subscribers: the next start has to read them again: {error}", error=error)


def _gathered(steps: Generator[None, None, T], results: list[T]) -> Generator[None, None, None]:
    """The steps; what comes out of them is added to the results."""
    results.append((yield from steps))
