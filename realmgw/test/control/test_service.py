"""What begins a reload while the gateway runs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.health import Health
from realmgw.control.service import ReloadService, RepositoryService, beside
from realmgw.errors import PlatformError
from realmgw.subscribers.remote.snapshot import NOTHING, Snapshot


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
