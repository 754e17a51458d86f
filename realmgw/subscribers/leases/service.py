"""Registrations as a service: each change is journalled, then in force, then over; many of one turn are one change.

A change is in the book at once, so that what comes after it is judged by it. If the disk or the kernel refuses it, it
and all that came after it are taken out again: nothing is in force that is not on disk, and nobody is told otherwise.

Edge: the reactor's timers, the wall clock.
"""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's Service has no types.)

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

from twisted.application import service
from twisted.internet.defer import Deferred, fail, inlineCallbacks
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from realmgw.config.steps import Blocking, Steps, finish, now
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.subscribers.files.listing import collector_at_rest
from realmgw.subscribers.leases.book import Book, Lease
from realmgw.subscribers.leases.expiry import Expiry
from realmgw.subscribers.leases.hosts import SOURCE, Hosts, nothing
from realmgw.subscribers.leases.journal import Journal
from realmgw.subscribers.leases.keeping import Keeping
from realmgw.subscribers.leases.records import ContradictionError, Record, Transaction
from realmgw.subscribers.leases.turns import Turns
from realmgw.subscribers.leases.waiting import InForce, Running, Waiting
from realmgw.subscribers.registry import Changes
from realmgw.system.worker import Worker

AGAIN = 10.0  # seconds
"""After so long what has expired and could not be removed is tried again."""
GRACE = 2.0  # seconds
"""For so long what an update takes away stays in force: a DHCP server that renews removes everything, and adds it again
some milliseconds later (Kea with `ddns-update-on-renew`); no flow is to end by that."""
AT_ONCE = 1000
"""So many expire at once, at most."""
COUNTED = "registered", "refreshed", "removed", "expired", "refused"
"""What is counted."""
MOST_WAITING = 10_000
"""So many changes wait at most for those before them."""

_log = Logger()


class LeaseService(service.Service):
    """What is registered by dynamic update.

    Args:
        running: What runs.
        journal: Where it is kept; used in the worker's thread only, but for `restore`.
        worker: That thread, started and stopped here.
        clock: The reactor.
        wall: The time of day, in seconds.
        tell: Told what is wrong, in lines.

    Attributes:
        book: What is registered.
        hosts: What follows.
        in_force: How hosts come into force; to be set before the service starts.
        counted: What has happened.
    """

    name = "leases"

    def __init__(
        self,
        running: Running,
        journal: Journal,
        worker: Worker,
        clock: IReactorTime,
        wall: Callable[[], float],
        tell: Callable[[Iterable[str]], object],
    ) -> None:
        self.book = Book()
        self.hosts = Hosts(running.registry, self.book)
        self.in_force: InForce
        self.counted = dict.fromkeys(COUNTED, 0)
        self._running = running
        self._journal = journal
        self._worker = worker
        self._clock, self._wall = clock, wall
        self._keeping = Keeping(journal, worker, lambda: tuple(self.book.leases.values()), tell)
        self._expiry = Expiry()
        self._expire: float | None = None
        self._timer: IDelayedCall | None = None
        self._waiting: list[Waiting] = []
        self._turns, self._unread = Turns(clock, self._begin), ""
        self._leaving = self.hosts.leaving
        self._seen: object = None  # the directory that what waits was judged by

    def restore(self, do: Callable[[Blocking], Any] = now) -> None:
        """Reads what is kept, and puts the hosts into the registry; before the start, at once.

        What can not be a host now stays registered. If it can not be read, nothing is registered until the next start.

        Args:
            do: Makes the calls that may block.
        """
        registry = self._running.registry
        registry.begin(nothing())
        try:
            leases = do(Blocking(str(self._journal.path), self._journal.read))
        except (PlatformError, OSError) as error:
            self._unread = f"what is registered can not be read, and nothing is registered until a restart: {error}"
            leases = []
        self.book.leases.update((lease.name, lease) for lease in leases)
        settings = self._running.settings
        with collector_at_rest():
            try:
                found = finish(registry.amending(SOURCE, self.hosts.unhindered(settings)))
            except RealmGatewayError:  # somebody is in the way of some
                found = finish(registry.amending(SOURCE, finish(self.hosts.settling(list(self.book.leases), settings))))
            finish(registry.commit(found))
        self.hosts.begin(settings)
        self._keeping.say("start", self._unread)

    def startService(self) -> None:
        super().startService()
        self._worker.start()
        self._turns.start()
        finish(self._configuring())

    def stopService(self) -> Deferred[None]:
        """Take nothing more; fires when what was taken is in force, or has failed."""
        super().stopService()
        self._turns.stop()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        done: Deferred[None] = self.in_force.exclusively(self._turn)  # what leaves is not on disk any more
        return done.addErrback(_fault).addCallback(lambda _: self._close())

    @inlineCallbacks
    def _close(self) -> Generator[Deferred[Any], Any, None]:
        yield self._worker.call(self._journal.close)
        self._worker.stop()

    def counts(self) -> dict[str, object]:
        """What is registered, and what has happened since the start."""
        return {"names": len(self.book.leases), **self.hosts.counts(), "waiting": len(self._waiting), **self.counted,
                "journal_errors": self._keeping.errors}  # fmt: skip

    def ends_in(self, name: str) -> float | None:
        """In how many seconds a registration ends, unless it is refreshed; None: never."""
        due = self._expiry.at(name)
        return None if due is None else max(0.0, due - self._clock.seconds())

    # What others ask and want

    def records(self, name: str) -> tuple[Record, ...]:
        """What is registered at a name, by all changes that were taken so far.

        Args:
            name: Absolute and lower case.
        """
        return self.book.records(name)

    def is_leaving(self, name: str) -> bool:
        """Whether it is a host for a moment only, since it is registered no more."""
        return name in self._leaving

    def _judged(self, following: Mapping[str, Lease | None]) -> str | None:
        return self.book.refusal(following) or self.hosts.refusal(following, self._running.settings)

    def change(self, transaction: Transaction, life: float = 0.0) -> Deferred[None]:
        """Register and remove.

        Args:
            transaction: What.
            life: For how many seconds it counts; 0: as long as `dns.update.expire` says.

        Returns:
            Fires when it is on disk and in force. It fails with `ContradictionError` when it can not be beside what
            there is, and with `RealmGatewayError` when something else is in the way; the text says what, and all is as
            it was.
        """
        closed = self._why_closed()
        if closed:
            return fail(RealmGatewayError(closed))
        following = self.book.following(transaction, now=self._wall(), life=life)
        why = self._judged(following)
        if why is not None:
            self.counted["refused"] += 1
            return fail(ContradictionError(why))
        return self._take(Waiting(transaction, life, "", following))

    def _why_closed(self) -> str:
        """Why no change is taken now, whatever it is; empty: some may be."""
        if not self.running:
            return "the gateway stops: nothing is registered any more"
        if self._unread or len(self._waiting) < MOST_WAITING:
            return self._unread
        return f"{MOST_WAITING} changes wait already: try again"

    def remove(self, records: tuple[Record, ...]) -> Deferred[None]:
        """Remove what is registered, at once, for the operator; fires, or fails, as `change`."""
        closed = self._why_closed()
        if closed:
            return fail(RealmGatewayError(closed))
        change = Transaction("", records, ())
        return self._take(Waiting(change, 0.0, "removed", self.book.following(change, now=self._wall())))

    def _take(self, waiting: Waiting) -> Deferred[None]:
        self._expect(waiting)
        self._turns.after(0.0)
        return waiting.done

    def _expect(self, waiting: Waiting) -> None:
        self._waiting.append(waiting)
        self.hosts.expect(self.hosts.wanted(waiting.following, self._running.settings))
        waiting.before = self.book.put(waiting.following)

    # One turn: all that waits

    def _begin(self) -> None:
        self.in_force.exclusively(self._turn).addErrback(_fault)

    @inlineCallbacks
    def _turn(self) -> Generator[Deferred[Any], Any, None]:
        self._turns.begun()
        count = 0
        try:
            count = yield from self._all_that_waits()
        finally:
            self._turns.done(count)

    def _all_that_waits(self) -> Generator[Deferred[Any], Any, int]:
        """It is in force, or has failed; returns how many names have become something else by it."""
        if self._seen is not self._running.registry.directory:
            self._judge_again()
        taken, self._waiting = self._waiting, []
        names = {name: self.book.leases.get(name) for each in taken for name in each.following}
        count = 0
        try:
            if names or self._leaving or self._keeping.astray:
                count = yield from self._put(names, taken)
        except Exception as error:  # noqa: BLE001 - whatever it is: those who wait are told
            self._undo(taken, error)
            return count
        self._keeping.say("kernel")
        for each in taken:
            self._count(each)
            each.done.callback(None)
        self._arm()
        return count

    def _judge_again(self) -> None:
        """Others have changed since what waits was judged: it may not be any more."""
        waiting = self._taken_out(self._waiting)
        for each in waiting:
            each.following = self.book.following(each.change, now=self._wall(), life=each.life)
            why = self._judged(each.following)
            if why is None:
                self._expect(each)
            else:
                self.counted["refused"] += 1
                each.done.errback(ContradictionError(why))

    def _taken_out(self, waiting: list[Waiting]) -> list[Waiting]:
        """Nothing waits any more; all of these are out of the book."""
        self._waiting = []
        for each in reversed(waiting):
            self.book.put(each.before)
        self.hosts.expect_nothing()
        return waiting

    def _put(self, names: Mapping[str, Lease | None], taken: list[Waiting]) -> Generator[Deferred[Any], Any, int]:
        """Names are on disk, and then in force; or all is as it was. Returns of how many that is true."""
        at_once = {name for each in taken if each.word for name in each.following}
        settings, now = self._running.settings, self._clock.seconds()
        different, leaving = self.hosts.different(names, at_once, settings, now=now)
        changes = (yield self.in_force.changes(SOURCE, different)) if different else None
        if names or self._keeping.astray:
            yield self._keeping.write(names)
        if changes is not None:
            try:
                yield self.in_force.put(changes, soon=all(each.word != "removed" for each in taken))
            except Exception:
                if names:
                    before = {name: lease for each in reversed(taken) for name, lease in each.before.items()}
                    yield self._keeping.take_back(before)
                raise
        self._seen = self._running.registry.directory
        for name in (*names, *different):
            self._leaving.pop(name, None)
        for name in leaving:  # in the order in which they leave
            self._leaving.pop(name, None)
            self._leaving[name] = self._clock.seconds() + GRACE
        if self._leaving:
            self._turns.after(next(iter(self._leaving.values())) - self._clock.seconds())
        for name, lease in names.items():
            self.hosts.put(name, lease, settings)
            self._expiry.put(name, self._end_of(lease, 0.0))
        self.hosts.expect_nothing()
        for each in self._waiting:
            self.hosts.expect(self.hosts.wanted(each.following, self._running.settings))
        return len({*names, *different})

    def _undo(self, taken: list[Waiting], error: Exception) -> None:
        """A change that failed, and all after it, which may rest upon it. Who was to leave stays till the next one."""
        if not isinstance(error, RealmGatewayError):
            _log.failure("fault while registering")
            error = RealmGatewayError(f"a fault of our own, see the log: {error}")
        late = [name for name, due in self._leaving.items() if due <= self._clock.seconds()]
        if late:
            more = f" and {len(late) - 1} more" if len(late) > 1 else ""
            self._keeping.say("kernel", f"{late[0]}{more} can not be removed, and is tried again: {error}")
        if self._leaving:
            self._turns.after(GRACE if late else next(iter(self._leaving.values())) - self._clock.seconds())
        elif self._keeping.astray:
            self._turns.after(AGAIN)
        for each in self._taken_out([*taken, *self._waiting]):
            each.done.errback(Failure(error))

    def _count(self, each: Waiting) -> None:
        for name, lease in each.following.items():
            is_new = each.before[name] is None
            word = "removed" if lease is None else "registered" if is_new else "refreshed"
            self.counted[each.word or word] += lease is not None or not is_new

    # What ends, and what a reload changes

    def _end_of(self, lease: Lease | None, age: float) -> float | None:
        """When a lease of an age ends.

        Half of its time is left at least: a refresh may have come while nobody was there, and the wall clock may have
        been set.
        """
        life = 0.0 if lease is None else lease.life or self._running.settings.dns.update.expire
        return self._clock.seconds() + max(life - max(age, 0.0), life / 2) if life else None

    def _configuring(self) -> Steps[None]:
        """From now on the rules hold that are in force; a step for each registration."""
        rules, leases = self._running.settings.dns.update, self.book.leases
        self.book.most = rules.most
        if rules.expire != self._expire:
            self._expire, wall = rules.expire, self._wall()
            for name in tuple(leases):
                yield None
                lease = leases.get(name)  # changes go on to be taken
                if lease is not None:
                    self._expiry.put(name, self._end_of(lease, wall - lease.refreshed))
        self._arm()

    def _arm(self) -> None:
        due = self._expiry.next()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if due is not None and self.running:
            self._timer = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._end)

    def _end(self) -> None:
        """Remove what nobody has refreshed in time."""
        for name in self._expiry.over(self._clock.seconds(), AT_ONCE):
            change = Transaction("", self.book.records(name), ())
            following = self.book.following(change, now=self._wall())
            if change.removed:
                self._take(Waiting(change, 0.0, "expired", following)).addErrback(self._not_ended, name)
        self._arm()

    def _not_ended(self, failure: Failure, name: str) -> None:
        self._expiry.put(name, self._clock.seconds() + AGAIN)
        self._arm()
        _log.warn("{name} has expired, and stays: {why}", name=name, why=failure.getErrorMessage())

    @inlineCallbacks
    def settled(self, changes: Changes) -> Generator[Deferred[Any], Any, None]:
        """Follow a reload, in which nothing else is changed: what was written first, and what may be a host again."""
        registry, leases = self._running.registry, self.book.leases
        tokens = registry.units[SOURCE].tokens
        assert isinstance(tokens, dict)
        others = (*(host.name for host in changes.removed), *changes.owners)
        told = {name for name in others if (name in leases or name in tokens) and registry.source_of(name) != SOURCE}
        names = told | self.hosts.idle.keys()
        names -= {name for each in self._waiting for name in each.following}
        for name in names:
            if registry.source_of(name) != SOURCE:
                tokens.pop(name, None)
                self._leaving.pop(name, None)
        different = yield self.in_force.drive(self.hosts.settling(names, self._running.settings))
        try:
            if different:
                yield self.in_force.put((yield self.in_force.changes(SOURCE, different)))
        except RealmGatewayError as error:
            self.hosts.idle.update(dict.fromkeys(different, str(error)))
        if not self._waiting:
            self.hosts.expect_nothing()
        yield self.in_force.drive(self._configuring())


def _fault(failure: Failure) -> None:
    _log.failure("fault while registering", failure)
