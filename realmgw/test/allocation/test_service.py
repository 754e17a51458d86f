"""One timer ends all claims."""

from __future__ import annotations

from ipaddress import IPv4Network

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.service import TICK, AllocationService
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.subscribers.model import Host, Service


class AllocationServiceTests(SynchronousTestCase):
    """A pool of one address, and two hosts that want it."""

    def setUp(self) -> None:
        """Start the service on a clock of our own."""
        self.clock = Clock()
        self.allocator = Allocator(Allocation(), [IPv4Network("203.0.113.1/32")], now=0.0)
        self.service = AllocationService(self.allocator, self.clock, self.clock.seconds)
        self.service.startService()
        self.names = [Service(name, Host(index, name, bytes(4), 9)) for index, name in ((1, "a."), (2, "b."))]
        self.delivered: list[tuple[float, bytes | Reason]] = []

    def ask(self, number: int, question: str) -> bytes | Reason:
        """Ask for one of the two names now."""
        return self.allocator.ask(self.names[number], "192.0.2.53", question, now=self.clock.seconds())

    def wait(self) -> None:
        """Let a query for the second name wait now."""
        self.allocator.wait(
            self.names[1],
            "192.0.2.53",
            "q",
            lambda outcome: self.delivered.append((self.clock.seconds(), outcome)),
            tcp=False,
            now=self.clock.seconds(),
        )

    def test_ends_a_claim_within_a_tick(self) -> None:
        """A claim that nobody uses is gone at its deadline, a tick later at most."""
        self.ask(0, "q")
        self.clock.pump([TICK] * 39)
        self.assertEqual(self.allocator.counters.lapsed, 0)
        self.clock.pump([TICK] * 2)
        self.assertEqual(self.allocator.counters.lapsed, 1)

    def test_serves_a_waiting_query_on_time(self) -> None:
        """A query that waits gets the address as soon as the claim on it is dead by experience, not a tick later."""
        self.ask(0, "q")
        self.clock.pump([TICK] * 8)
        self.assertIs(self.ask(1, "q"), Reason.EXHAUSTED)
        self.wait()
        self.clock.pump([0.001] * 102)
        [(when, outcome)] = self.delivered
        self.assertIsInstance(outcome, bytes)
        self.assertAlmostEqual(when, 0.5, delta=0.0025)

    def test_reclaims_nothing_after_a_stall(self) -> None:
        """When the timer comes late, packets may wait unread: nobody is taken for dead at once."""
        self.clock.pump([TICK] * 2)
        self.ask(0, "q")
        self.clock.advance(0.8)  # no turn of the reactor in all this time
        self.assertIs(self.ask(1, "q"), Reason.EXHAUSTED)
        self.clock.pump([TICK] * 20)
        self.assertIsInstance(self.ask(1, "q"), bytes)

    def test_has_one_timer_however_many_claims_there_are(self) -> None:
        """The number of delayed calls does not grow with the claims."""
        for number in range(100):
            self.ask(0, str(number))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_goes_on_after_a_fault(self) -> None:
        """A fault while claims are ended does not end the timer."""
        self.allocator.expire = None  # type: ignore[method-assign,assignment]  # as broken as can be
        with self.assertRaises(TypeError):
            self.clock.advance(TICK)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_stops_and_tells_those_who_wait(self) -> None:
        """When it stops, no timer is left, and waiting queries are told that the gateway stops."""
        self.ask(0, "q")
        self.wait()
        self.service.stopService()
        self.assertEqual(self.delivered, [(0.0, Reason.STOPPING)])
        self.assertEqual(self.clock.getDelayedCalls(), [])
