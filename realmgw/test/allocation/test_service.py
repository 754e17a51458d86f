"""One timer ends all claims."""

from __future__ import annotations

from ipaddress import IPv4Network

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.allocator import Allocator
from realmgw.allocation.service import TICK, AllocationService
from realmgw.config.settings import Allocation
from realmgw.errors import Reason
from realmgw.subscribers.model import Host, Profile, Service


class AllocationServiceTests(SynchronousTestCase):
    """A pool of one address, and two hosts that want it."""

    def setUp(self) -> None:
        """Start the service on a clock of our own."""
        self.clock = Clock()
        self.allocator = Allocator(Allocation(), [IPv4Network("203.0.113.1/32")], now=0.0)
        self.service = AllocationService(self.allocator, self.clock, self.clock.seconds)
        self.service.startService()
        self.names = [Service(name, Host(index, name, bytes(4), Profile(9))) for index, name in ((1, "a."), (2, "b."))]
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

    def come(self, address: bytes, number: int) -> int:
        """Send a first packet of a client of its own now; the host that it goes to."""
        source = bytes((198, 51, 100, number))
        return self.allocator.admit((source, address, 6, 1024, 80), now=self.clock.seconds())

    def test_ends_a_claim_within_a_tick(self) -> None:
        """A claim that nobody uses is gone at its deadline, a tick later at most."""
        self.ask(0, "q")
        self.clock.pump([TICK] * 39)
        self.assertEqual(self.allocator.counters.lapsed, 0)
        self.clock.pump([TICK] * 2)
        self.assertEqual(self.allocator.counters.lapsed, 1)

    def test_looks_for_idle_flows_when_the_turn_is_over_in_which_it_is_told_to(self) -> None:
        """Once, however often it was told; and no more when it has stopped."""
        looked: list[float] = []

        def look(*, now: float) -> bool:
            looked.append(now)
            return False

        self.allocator.datagrams.look = look  # type: ignore[method-assign]
        self.allocator.datagrams.soon()
        self.allocator.datagrams.soon()
        self.assertEqual(looked, [])
        self.clock.advance(0)
        self.assertEqual(len(looked), 1)
        self.allocator.datagrams.soon()
        self.service.stopService()
        self.clock.advance(1)
        self.assertEqual(len(looked), 1)

    def test_serves_a_waiting_query_on_time(self) -> None:
        """A query that waits gets the address as soon as the claim on it is dead by experience, not a tick later."""
        self.ask(0, "q")
        self.clock.pump([TICK] * 8)
        self.assertIs(self.ask(1, "q"), Reason.EXHAUSTED)
        self.wait()
        self.clock.pump([0.001] * 102)
        [(when, outcome)] = self.delivered
        self.assertIsInstance(outcome, bytes)
        self.assertLess(abs(when - 0.5), 0.0025)

    def test_reclaims_nothing_after_a_stall(self) -> None:
        """When the timer comes late, packets may wait unread: nobody is taken for dead at once."""
        self.clock.pump([TICK] * 2)
        self.ask(0, "q")
        self.clock.advance(0.8)  # no turn of the reactor in all this time
        self.assertIs(self.ask(1, "q"), Reason.EXHAUSTED)
        self.clock.pump([TICK] * 20)
        self.assertIsInstance(self.ask(1, "q"), bytes)

    def test_hands_no_address_on_whose_packets_lie_unread(self) -> None:
        """A stall ends no claim, be it a rider's or one that is over: its packet goes to its host, not to the next."""
        for stall, rides in ((0.8, True), (2.5, False)):
            with self.subTest(stall=stall):
                self.setUp()
                self.clock.pump([TICK] * 2)
                address = self.ask(0, "first")
                assert isinstance(address, bytes)
                if rides:
                    self.wait()
                    self.assertEqual(self.ask(0, "rider"), address)
                    self.assertEqual(self.come(address, 1), 1)
                self.clock.advance(stall)
                self.clock.pump([0.001] * 5)
                if not rides:
                    self.assertIs(self.ask(1, "q"), Reason.EXHAUSTED)
                self.assertEqual(self.come(address, 2), 1)
                self.assertEqual(self.allocator.counters.lapsed, 0)

    def test_waits_no_longer_than_the_stall_asks_for(self) -> None:
        """As long as the stall was, packets are worked off; then whoever did not come is late, and nothing is kept."""
        self.clock.pump([TICK] * 2)
        self.ask(0, "q")
        self.clock.advance(2.5)
        self.clock.pump([TICK] * 52)
        self.assertEqual(self.allocator.counters.lapsed, 1)

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
