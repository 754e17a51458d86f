"""Services are started and stopped one after the other."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from realmgw.daemon.ordered import OrderedService
from realmgw.errors import PlatformError


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
