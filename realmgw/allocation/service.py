"""One timer for all claims, and one that keeps reputations. Edge: the reactor's timers, threads."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's Service has no types.)

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.pool.reclaim import TOLERANCE
from realmgw.allocation.reputation.disk import AgedRow, ReputationFile, Row
from realmgw.config.steps import portions
from realmgw.errors import PlatformError
from realmgw.system.worker import Worker

TICK = 0.05  # seconds
"""How late a claim may end while nobody waits for its address."""
SOON = 0.001  # seconds
"""The shortest time between two calls of `expire`."""
WRITE_INTERVAL = 20.0  # seconds
"""How often reputations are written: whatever ends the process, no more than this is forgotten."""
BATCH = 200
"""So many rows are written in one piece: while a thread is busy with more, the reactor's has to wait for it."""
TURN = 25
"""So many groups are looked at before queries and packets have their turn."""

_log = Logger()


class AllocationService(Service):
    """Calls `Allocator.expire` while it runs: every `TICK`, and on time while queries wait.

    Args:
        allocator: Whose claims end.
        clock: The reactor.
        monotonic: The present, in seconds; the same that `ask` and `admit` are told.
    """

    name = "allocation"

    def __init__(self, allocator: Allocator, clock: IReactorTime, monotonic: Callable[[], float]) -> None:
        self._allocator = allocator
        self._clock = clock
        self._monotonic = monotonic
        self._due = 0.0
        self._call: IDelayedCall | None = None
        self._look: IDelayedCall | None = None

    def counts(self) -> dict[str, object]:
        """What the allocator has counted since the start, and how many of those who ask are known."""
        allocator = self._allocator
        groups, clients = allocator.groups, len(allocator.requestors)
        known: dict[str, object] = {"resolvers": groups.remembered, "proven": groups.proven_ones, "clients": clients}
        known |= {"ended_flows": len(allocator.ended), "ipv6": allocator.fresh.counts()}
        load = allocator.askers.load
        return {**allocator.counters.counts(), **known, "policy": {} if load is None else load.counts()}

    def startService(self) -> None:
        super().startService()
        self._allocator.wake = self._wake
        self._allocator.datagrams.soon = self._look_soon
        self._arm(self._monotonic(), TICK)

    def stopService(self) -> None:
        """End no claims any more; queries that wait are told `Reason.STOPPING`."""
        super().stopService()
        self._allocator.wake = None
        for call in (self._call, self._look):
            if call is not None and call.active():
                call.cancel()
        self._allocator.dismiss()

    def _arm(self, now: float, delay: float) -> None:
        self._due = now + delay
        self._call = self._clock.callLater(delay, self._tick)

    def _tick(self) -> None:
        now = self._monotonic()
        late = now - self._due
        self._arm(now, TICK)  # first, so that a fault below does not stop the clock
        self._allocator.heard(late=late, due=self._due + TOLERANCE, now=now)
        due = self._allocator.expire(now=now)
        if due is not None and self._allocator.waiting:
            self._wake(due)

    def _look_soon(self) -> None:
        """Have idle flows be looked for when what goes on now is done."""
        if self.running and (self._look is None or not self._look.active()):
            self._look = self._clock.callLater(0.0, self._look_once)

    def _look_once(self) -> None:
        if self._allocator.datagrams.look(now=self._monotonic()):
            self._look_soon()

    def _wake(self, due: float) -> None:
        """Have `expire` called at a time when an address comes free that somebody waits for."""
        if due < self._due and self._call is not None and self._call.active():
            now = self._monotonic()
            delay = max(SOON, due - now)
            if now + delay < self._due:
                self._due = now + delay
                self._call.reset(delay)


class Book(Protocol):
    """What is remembered of those who ask, as rows; see `realmgw.allocation.reputation.records.Book`."""

    def restore(self, rows: Iterable[AgedRow], *, now: float) -> int:
        """Remember what was written; returns how many rows could not be used."""

    def changed(self, *, every: bool, now: float) -> Iterator[Row]:
        """What is new since it was last asked for, or `every` thing; looked up while it is gone through."""

    def gone(self) -> set[str]:
        """The keys of what was forgotten on purpose since it was last asked for."""


class ReputationService(Service):
    """Keeps reputations: reads them before anybody is answered, and writes what changed, every `WRITE_INTERVAL`.

    A disk that fails stops nobody: it is logged once, and what could not be written is tried again.

    Args:
        book: What is remembered.
        file: Where it is kept; used in the worker's thread only.
        worker: That thread, started and stopped here.
        clock: The reactor.
        monotonic: The present, in seconds.

    Attributes:
        restored: Rows that the start has found.
        written: Rows written since then.
        failing: Whether the last attempt to write failed.
    """

    name = "reputation"

    def __init__(
        self, book: Book, file: ReputationFile, worker: Worker, clock: IReactorTime, monotonic: Callable[[], float]
    ) -> None:
        self._book = book
        self._file = file
        self._worker = worker
        self._clock = clock
        self._monotonic = monotonic
        self._rows: dict[str, Row] = {}  # not on disk yet
        self._gone: set[str] = set()
        self._set_aside = 0
        self._lock = DeferredLock()
        self._loop = LoopingCall(self.write)
        self._loop.clock = clock
        self.restored = self.written = 0
        self.failing = False

    def startService(self) -> Deferred[None]:
        """Read what was kept; fires when it is known again, or when it is clear that it can not be."""
        super().startService()
        self._worker.start()
        return self._worker.call(self._file.read).addCallback(self._restore).addErrback(self._unread)

    def _restore(self, rows: list[AgedRow]) -> None:
        unusable = self._book.restore(rows, now=self._monotonic())
        self.restored = len(rows) - unusable
        if unusable:
            _log.warn("reputations: {count} of {all} could not be used", count=unusable, all=len(rows))
        self._say_what_was_damaged()
        self._begin()

    def _unread(self, failure: Failure) -> None:
        if failure.check(PlatformError):
            _log.error("reputations: all begin anew: {why}", why=failure.getErrorMessage())
        else:
            _log.failure("reputations: all begin anew", failure)
        self._begin()

    def _begin(self) -> None:
        if self.running and not self._loop.running:
            self._loop.start(WRITE_INTERVAL, now=False)

    def write(self) -> Deferred[None]:
        """Write what has changed; fires when it is done, or has failed and been logged."""
        done: Deferred[None] = self._lock.run(self._write).addErrback(self._fault)
        return done

    def _fault(self, failure: Failure) -> None:
        _log.failure("fault while writing reputations", failure)

    @inlineCallbacks
    def _write(self) -> Generator[Deferred[Any], Any, None]:
        yield from self._gather(every=False)
        if not (yield from self._hand_over()):
            self._say_what_was_damaged()
            yield from self._gather(every=True)
            yield from self._hand_over()

    def _gather(self, *, every: bool) -> Generator[Deferred[Any], Any, None]:
        """Collect what is not on disk yet, a few rows in a turn of the reactor."""
        gone = self._book.gone()
        self._gone |= gone
        for key in gone:
            self._rows.pop(key, None)
        changed = self._book.changed(every=every, now=self._monotonic())
        for turn in portions(changed, TURN):
            for row in turn:
                for key in (row.key, *row.replaces):
                    self._rows.pop(key, None)
                self._rows[row.key] = row  # the last one now
            if self.running:
                yield deferLater(self._clock, 0.0)

    def _hand_over(self) -> Generator[Deferred[Any], Any, bool]:
        """Write what was collected; whether all that was written before is there still."""
        rows, gone, done, whole = tuple(self._rows.values()), tuple(self._gone), 0, True
        self._rows, self._gone = {}, set()
        try:
            while done < len(rows) or gone:
                part = rows[done : done + BATCH]
                whole = (yield self._worker.call(self._file.write, part, gone)) and whole
                done, gone = done + len(part), ()
            if done:
                yield self._worker.call(self._file.trim)
        except PlatformError as error:
            self._rows, self._gone = self._latest({row.key: row for row in rows[done:]}), set(gone)
            if not self.failing:
                _log.error("reputations: not kept, and tried again: {error}", error=error)
            self.failing = True
            return True
        finally:
            self.written += done
        if self.failing:
            _log.info("reputations: kept again")
        self.failing = False
        return whole

    def _latest(self, rows: dict[str, Row]) -> dict[str, Row]:
        """As many rows as the file would have, however long it can not be written."""
        return dict(islice(rows.items(), max(0, len(rows) - self._file.limit), None))

    def _say_what_was_damaged(self) -> None:
        for place in self._file.set_aside[self._set_aside :]:
            _log.critical("reputations: the file was damaged; what is left of it is now {place}", place=place)
        self._set_aside = len(self._file.set_aside)

    def configure(self, limit: int) -> None:
        """From now on, keep so many."""
        self._file.limit = limit

    def counts(self) -> dict[str, int | bool]:
        """What became of it since the start."""
        return {
            "restored": self.restored,
            "written": self.written,
            "unwritten": len(self._rows),
            "failing": self.failing,
            "damaged": len(self._file.set_aside),
        }

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """Write what has changed, and let go of the file; fires when that is done."""
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        yield self.write()
        yield self._worker.call(self._file.close)
        self._worker.stop()
