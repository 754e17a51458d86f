"""Services are started and stopped one after the other."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.health import Health
from realmgw.control.service import OrderedService, ReloadService, RepositoryService, beside
from realmgw.errors import PlatformError
from realmgw.subscribers.remote.snapshot import NOTHING, Snapshot


class Part(Service):
    """A service that notes what is done to it, and does it when it is told to."""

    def __init__(self, name: str, events: list[str]) -> None:
        self.name = name
        self._events = events
        self.starting: Deferred[None] | None = None
        self.stopping: Deferred[None] | None = None
        self.fault: Exception | None = None

    def startService(self) -> Deferred[None] | None:
        """Note it; wait, or fail, if that was asked for."""
        self._events.append(f"start {self.name}")
        if self.fault is not None:
            raise self.fault
        return self.starting

    def stopService(self) -> Deferred[None] | None:
        """Note it; wait if that was asked for."""
        self._events.append(f"stop {self.name}")
        return self.stopping


class OrderedServiceTests(SynchronousTestCase):
    """Three parts in a row."""

    def setUp(self) -> None:
        """Make them, and a record of all that happens."""
        self.events: list[str] = []
        self.failures: list[Failure] = []
        self.parts = [Part(name, self.events) for name in ("one", "two", "three")]
        self.whole = OrderedService(self.note("all up"), self.failures.append)
        for part in self.parts:
            part.setServiceParent(self.whole)

    def note(self, event: str) -> Callable[[], None]:
        """A function that records an event."""
        return lambda: self.events.append(event)

    def test_starts_all_in_order_and_says_so(self) -> None:
        """Parts are started in the order in which they were added, and then the whole is reported as started."""
        self.successResultOf(self.whole.startService())
        self.assertEqual(self.events, ["start one", "start two", "start three", "all up"])

    def test_waits_for_a_part_that_takes_time(self) -> None:
        """The next part is not started before the Deferred of the one before has fired."""
        self.parts[0].starting = Deferred()
        done = self.whole.startService()
        self.assertEqual(self.events, ["start one"])
        self.parts[0].starting.callback(None)
        self.successResultOf(done)
        self.assertEqual(self.events[-1], "all up")

    def test_stops_what_runs_when_a_part_fails(self) -> None:
        """After a failure the parts started before are stopped in reverse, the later ones are never started."""
        self.parts[2].fault = PlatformError("port 53 is taken")
        self.successResultOf(self.whole.startService())
        self.assertEqual(self.events, ["start one", "start two", "start three", "stop two", "stop one"])
        self.assertEqual(self.failures[0].getErrorMessage(), "port 53 is taken")

    def test_reports_a_failure_that_comes_later(self) -> None:
        """A part that fails by its Deferred counts like one that raises."""
        self.parts[1].starting = Deferred()
        self.whole.startService()
        self.parts[1].starting.errback(PlatformError("no CAP_NET_ADMIN"))
        self.assertEqual(self.events, ["start one", "start two", "stop one"])
        self.assertEqual(len(self.failures), 1)

    def test_stops_in_reverse_and_waits(self) -> None:
        """A part is stopped when the one started after it has stopped."""
        self.successResultOf(self.whole.startService())
        self.parts[2].stopping = Deferred()
        done = self.whole.stopService()
        self.assertEqual(self.events[4:], ["stop three"])
        self.parts[2].stopping.callback(None)
        self.successResultOf(done)
        self.assertEqual(self.events[4:], ["stop three", "stop two", "stop one"])

    def test_stops_the_others_when_one_does_not_stop(self) -> None:
        """What a part raises while stopping is logged, and the parts before it are stopped all the same."""
        self.successResultOf(self.whole.startService())
        self.parts[2].stopping = Deferred()
        done = self.whole.stopService()
        self.parts[2].stopping.errback(RuntimeError("stuck"))
        self.successResultOf(done)
        self.assertEqual(self.events[-1], "stop one")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_stops_after_a_start_under_way(self) -> None:
        """When it is stopped while it starts, no further part is started, and what runs is stopped."""
        self.parts[0].starting = Deferred()
        self.whole.startService()
        done = self.whole.stopService()
        self.assertNoResult(done)
        self.parts[0].starting.callback(None)
        self.successResultOf(done)
        self.assertEqual(self.events, ["start one", "stop one"])


class QuietRepository:
    """A repository that says what it is told to.

    Attributes:
        kept: Fires when it has read what was kept.
        changed: Who is told of changes; None: nobody.
    """

    def __init__(self) -> None:
        self.kept: Deferred[Snapshot] = Deferred()
        self.changed: Callable[[Snapshot], None] | None = None

    def recalled(self) -> Deferred[Snapshot]:
        """Later."""
        return self.kept

    def watch(self, changed: Callable[[Snapshot], None]) -> None:
        """Notes it."""
        self.changed = changed

    def accept(self, snapshot: Snapshot) -> None:
        """Nobody asks."""

    def report(self) -> dict[str, Any]:
        """How it is."""
        return {"url": "https://db.example.org"}

    def unwatch(self) -> Deferred[None]:
        """Notes it."""
        self.changed = None
        return succeed(None)


class RepositoryServiceTests(SynchronousTestCase):
    """A repository that is listened to."""

    def setUp(self) -> None:
        """Begins to listen."""
        self.repository, self.told = QuietRepository(), list[Snapshot]()
        self.made_true: list[Deferred[None]] = []
        self.service = RepositoryService(self.repository, self.tell)
        self.service.startService()

    def tell(self, snapshot: Snapshot) -> Deferred[None]:
        """Notes it; takes its time."""
        self.told.append(snapshot)
        self.made_true.append(Deferred())
        return self.made_true[-1]

    def test_what_was_kept_is_in_force_before_anything_is_asked(self) -> None:
        """Else nobody would see what the answer takes away."""
        first, second = Snapshot("1"), Snapshot("2")
        self.repository.kept.callback(first)
        self.assertEqual((self.told, self.repository.changed), ([first], None))
        self.made_true[0].callback(None)
        assert self.repository.changed is not None
        self.repository.changed(second)
        self.assertEqual(self.told, [first, second])

    def test_where_nothing_was_kept_it_asks_at_once(self) -> None:
        """Nothing is told: it would be taken for all that there is."""
        self.repository.kept.callback(NOTHING)
        self.assertEqual(self.told, [])
        self.assertIsNotNone(self.repository.changed)

    def test_a_reload_that_fails_ends_nothing(self) -> None:
        """It is logged, and the next change is told."""
        self.repository.kept.callback(NOTHING)
        assert self.repository.changed is not None
        self.repository.changed(Snapshot("1"))
        self.made_true[0].errback(ZeroDivisionError())
        self.repository.changed(Snapshot("2"))
        self.assertEqual((len(self.flushLoggedErrors(ZeroDivisionError)), len(self.told)), (1, 2))

    def test_hands_on_how_it_is(self) -> None:
        """As the repository has it."""
        self.assertEqual(self.service.counts(), self.repository.report())

    def test_tells_nothing_after_the_stop(self) -> None:
        """Neither what was kept."""
        self.successResultOf(self.service.stopService())
        self.repository.kept.callback(Snapshot("1"))
        self.assertEqual((self.told, self.repository.changed), ([], None))


class ReloadServiceTests(SynchronousTestCase):
    """SIGHUP."""

    def test_a_signal_is_a_reload_while_it_runs(self) -> None:
        """And afterwards what it was before."""
        causes: list[str] = []
        before = signal.getsignal(signal.SIGHUP)
        service = ReloadService(causes.append, lambda function, *arguments: function(*arguments))
        service.startService()
        signal.raise_signal(signal.SIGHUP)
        service.stopService()
        self.assertEqual((causes, signal.getsignal(signal.SIGHUP)), (["SIGHUP"], before))


class Pool:
    """A reactor and its threads: there is room for one, or not."""

    is_full = False

    def getThreadPool(self) -> Pool:
        """This."""
        return self

    def callFromThread(self, function: Callable[..., object], *args: object) -> None:
        """At once."""
        function(*args)

    def callInThreadWithCallback(self, told: Callable[..., object], function: Callable[[], object], *_: object) -> None:
        """At once, or not at all."""
        if self.is_full:
            raise PlatformError("no thread can be started")
        told(True, function())


class BesideTests(SynchronousTestCase):
    """`beside`: what is asked in a thread."""

    def test_without_room_for_a_thread_nothing_is_said_and_that_is_told(self) -> None:
        """Once, until there is room again; whoever asks gets the rest."""
        pool, events, counts = Pool(), list[str](), {"kernel": 1}
        health = Health(lambda: 0.0, lambda each: events.append(each.text), lambda _each, _well: events.append("over"))
        for pool.is_full in (False, True, True, False):
            said = self.successResultOf(beside(lambda: dict(counts), health, pool))
            self.assertEqual(said, {} if pool.is_full else counts)
        self.assertEqual(events, ["no thread can be started", "over"])
