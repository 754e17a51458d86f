"""The service: several proxies, an allocator that lends, reloads, and a proxy that is stopped."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's protocols have no types.)

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from types import FrameType
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from realmgw.allocation.allocator import Allocator
from realmgw.config.settings import Settings
from realmgw.config.steps import Blocking
from realmgw.errors import PlatformError
from realmgw.metrics.declared import Labels
from realmgw.metrics.gateway import GATEWAY
from realmgw.subscribers.model import Host, Service, Terms
from realmgw.synproxy import service as module
from realmgw.synproxy.codec import LENGTH, TCP, TcpOptions
from realmgw.synproxy.service import BATCH, LOOK, SynproxyService
from realmgw.test.synproxy.peer import MemoryProxy
from realmgw.test.synproxy.test_table import HTTP, settings

RESOLVER = "203.0.113.53"
BUSY = 2000
"""So many hosts share two addresses."""


def service(index: int, **how: Any) -> Service:
    """A service of a host of its own."""
    return Service(f"host{index}.example.org.", Host(index, f"host{index}.example.org.", b"\n\0\0\1"), Terms(**how))


def _calls_of(step: Callable[[], object]) -> int:
    """How many calls of functions of the client something costs."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        del argument
        nonlocal calls
        calls += event == "call" and Path(frame.f_code.co_filename).parent == Path(module.__file__).parent

    sys.setprofile(count)
    try:
        step()
    finally:
        sys.setprofile(None)
    return calls


class Wire(StringTransport):
    """A connection to a proxy in memory."""

    def __init__(self, protocol: Any, proxy: MemoryProxy) -> None:
        super().__init__()
        self.protocol, self.proxy = protocol, proxy
        self.stopped = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Makes no difference."""

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Likewise."""

    def pump(self) -> None:
        """The proxy reads, and answers, unless it is stopped."""
        while not self.stopped and (octets := self.value()):
            self.clear()
            self.protocol.dataReceived(self.proxy.receive(octets))

    def abortConnection(self) -> None:
        """At once."""
        super().abortConnection()
        self.protocol.connectionLost(Failure(ConnectionDone()))


class ServiceTestCase(SynchronousTestCase):
    """An allocator, the service, and a reactor that connects to proxies in memory."""

    def setUp(self) -> None:
        """Nothing runs."""
        self.clock = MemoryReactorClock()
        self.settings = settings()
        networks = self.settings.pools.networks
        self.allocator = Allocator(self.settings.allocation, networks, now=0.0)
        self.troubles: tuple[str, ...] = ()
        self.unreadable = ""
        self.service = self.make(self.settings)
        self.wires: list[Wire] = []
        self.proxies: dict[str, MemoryProxy] = {}
        self.questions = 0

    def make(self, how: Settings) -> SynproxyService:
        """A service."""
        return SynproxyService(how, self.allocator, self.clock, self.elsewhere, self.tell)

    def elsewhere(self, blocking: Blocking) -> Deferred[Any]:
        """Reads certificates."""
        del blocking
        return fail(PlatformError(self.unreadable)) if self.unreadable else succeed(None)

    def tell(self, lines: tuple[str, ...]) -> None:
        """What is wrong."""
        self.troubles = lines

    def start(self) -> None:
        """It runs, and its proxies are there."""
        done = self.service.startService()
        self.after(0.1)
        self.successResultOf(done)

    def connect(self) -> None:
        """Whoever is to be connected is."""
        clients, self.clock.tcpClients[:] = list(self.clock.tcpClients), []
        for host, _port, factory, *_ in clients:
            proxy = self.proxies.setdefault(host, MemoryProxy())
            protocol: Any = factory.buildProtocol(None)
            self.wires.append(Wire(protocol, MemoryProxy(table=proxy.table)))
            self.proxies[host] = self.wires[-1].proxy
            protocol.makeConnection(self.wires[-1])

    def after(self, seconds: float) -> None:
        """Time passes."""
        for _ in range(max(1, round(seconds / LOOK * 5))):
            self.clock.advance(LOOK / 5)
            self.connect()
            for wire in list(self.wires):
                wire.pump()

    def ask(self, asked: Service) -> None:
        """A question for a service."""
        self.questions += 1
        answer = self.allocator.ask(asked, RESOLVER, self.questions, now=self.clock.seconds())
        self.assertIsInstance(answer, bytes)

    def states(self) -> list[object]:
        """Of all links."""
        return [each["state"] for each in self.service.show()]


class ServiceTests(ServiceTestCase):
    """With one proxy or two."""

    def test_nothing_is_heard_of_where_there_is_none(self) -> None:
        """It costs nothing."""
        self.service = self.make(settings(proxies=""))
        self.start()
        self.assertIsNone(self.allocator.ledger.noted)
        self.assertEqual((self.service.counts(), self.service.show(), self.clock.getDelayedCalls()), ({}, [], []))
        self.successResultOf(self.service.stopService())

    def test_what_is_lent_is_told(self) -> None:
        """With its options; and taken back when it ends."""
        self.start()
        self.assertEqual(self.states(), ["in step"])
        self.ask(service(1, protocol=TCP, port=80, tcp_mss=1380))
        self.ask(service(2, protocol=17, port=53))
        self.after(1.0)
        own = {key: each for key, each in self.proxies["203.0.113.9"].table.items() if key.port}
        self.assertEqual(list(own.values()), [TcpOptions(1380, True, 7)])
        self.assertEqual(self.service.counts()["reserved"], 1)
        self.clock.advance(1e5)
        self.allocator.expire(now=self.clock.seconds())
        self.allocator.expire(now=self.clock.seconds() + 1e5)
        self.after(2.0)
        self.assertEqual(len(self.proxies["203.0.113.9"].table), 4)

    def test_is_told_at_once_and_then_of_many_in_one_go(self) -> None:
        """Before who has asked can have come; whoever comes within a moment of that is told of with the next ones."""
        self.start()
        for number, (index, wait) in enumerate(((1, 0.0), (2, BATCH)), 1):
            self.ask(service(index, protocol=TCP, port=index))
            self.ask(service(index + 2, protocol=TCP, port=index))
            self.clock.advance(wait / 2)
            self.assertEqual(len(self.wires[0].value()), 0 if wait else 2 * LENGTH)
            self.clock.advance(wait / 2)
            self.assertEqual(len(self.wires[0].value()), 2 * LENGTH)
            self.wires[0].pump()
            self.assertEqual(self.service.counts()["reserved"], 2 * number)

    def test_what_a_reservation_costs_is_next_to_nothing(self) -> None:
        """Nothing is called for each of them, not in the allocation either: they are put down, and seen to together."""
        self.allocator = Allocator(self.settings.allocation, (ip_network("198.51.100.0/23"),), now=0.0)
        self.service = self.make(settings(pool="198.51.100.0/23"))
        self.start()
        self._calls(1)  # so that these options are known
        few, many = self._calls(10), self._calls(210)
        self.assertEqual(many - few, 0)

    def _calls(self, number: int) -> int:
        """How many calls in the client so many hosts cost, each of whom is lent an address, and told of."""
        indexes = range(self.questions + 1, self.questions + 1 + number)
        hosts = [service(index, protocol=TCP, port=80, tcp_mss=1380) for index in indexes]
        wire = self.wires[0]
        wire.proxy.said()
        calls = _calls_of(lambda: deque(map(self.ask, hosts)))
        calls += _calls_of(lambda: self.clock.advance(BATCH))
        answers = wire.proxy.receive(wire.value())
        calls += _calls_of(lambda: wire.protocol.dataReceived(answers))
        wire.clear()
        self.assertEqual(len(wire.proxy.said()), number)
        return calls

    def test_what_was_lent_before_is_told_as_well(self) -> None:
        """To one that comes by a reload."""
        self.service = self.make(settings(proxies=""))
        self.start()
        self.ask(service(1, protocol=TCP, port=80))
        self.service.configure(settings())
        self.after(1.0)
        self.assertEqual(self.states(), ["in step"])
        self.assertEqual(len(self.proxies["203.0.113.9"].table), 5)

    def test_a_reload_leaves_those_alone_that_stay(self) -> None:
        """One comes, then the first goes; then other options are told to the one that is left."""
        self.start()
        self.service.configure(settings(proxies="203.0.113.9, '[2001:db8::9]:99'"))
        self.after(1.0)
        self.assertEqual((self.states(), len(self.wires)), (["in step"] * 2, 2))
        self.service.configure(settings(proxies="'[2001:db8::9]:99'"))
        self.after(1.0)
        self.assertEqual([wire.disconnected for wire in self.wires], [True, False])
        self.service.configure(settings(", mss: 1400", proxies="'[2001:db8::9]:99'"))
        self.after(1.0)
        self.assertEqual((self.states(), len(self.wires)), (["in step"], 2))
        self.assertIn(TcpOptions(1400, True, 7), self.proxies["2001:db8::9"].table.values())
        self.service.configure(settings(proxies=""))
        self.after(1.0)
        self.assertIsNone(self.allocator.ledger.noted)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_is_stopped_holds_up_nothing(self) -> None:
        """Neither queries nor the other one; when it goes on, it is in step again within two seconds."""
        self.service = self.make(settings(proxies="203.0.113.9, 203.0.113.10"))
        self.start()
        self.wires[0].stopped = True
        for index in range(1, BUSY):
            self.ask(service(index, protocol=TCP, port=1 + index % 500, timeout=0.1))
            if not index % 2:
                self.clock.advance(0.02)
                self.allocator.expire(now=self.clock.seconds())
                self.wires[1].pump()
                self.connect()
                for wire in self.wires[2:]:
                    wire.stopped = True
        self.assertEqual(self.states()[1], "in step")
        for wire in self.wires:
            wire.stopped = False
        self.after(2.0)
        self.assertEqual((self.states(), self.troubles), (["in step"] * 2, ()))
        one, other = (proxy.table for proxy in self.proxies.values())
        self.assertEqual(one, other)

    def test_one_that_refuses_is_told_of(self) -> None:
        """In the status, until it is in step again."""
        self.start()
        self.proxies["203.0.113.9"].table.clear()
        self.ask(service(1, protocol=TCP, port=80, timeout=0.1))
        self.after(0.2)
        self.proxies["203.0.113.9"].table.clear()
        self.allocator.forget([1 << 24 | HTTP], now=self.clock.seconds())
        self.after(0.5)
        [line] = self.troubles
        self.assertIn("the SYN proxy 203.0.113.9:12345 is not in step: it refused del 198.51.100.", line)
        self.after(2.0)
        self.assertEqual((self.troubles, self.states()), ((), ["in step"]))

    def test_certificates_that_can_not_be_read_are_no_start(self) -> None:
        """And at a reload everything stays as it was."""
        self.unreadable = "there are none"
        bad = settings(proxies="'203.0.113.9#proxy.example.org'")
        self.service = self.make(bad)
        self.failureResultOf(self.service.startService(), PlatformError)
        self.assertFalse(self.service.running)
        self.service = self.make(settings())
        self.start()
        self.service.configure(bad)
        self.after(1.0)
        self.assertEqual((self.states(), len(self.wires)), (["in step"], 1))

    def test_other_options_are_told_though_certificates_can_not_be_read(self) -> None:
        """They have nothing to do with each other."""
        self.start()
        self.unreadable = "there are none"
        with capturedLogs() as events:
            self.service.configure(settings(", mss: 1400", proxies="'203.0.113.9#proxy.example.org'"))
            self.after(1.0)
        self.assertEqual(formatEvent(events[0]), "SYN proxies stay as they were: there are none")
        self.assertIn(TcpOptions(1400, True, 7), self.proxies["203.0.113.9"].table.values())
        self.assertEqual((self.states(), len(self.wires)), (["in step"], 1))

    def test_totals_do_not_fall_when_a_proxy_goes(self) -> None:
        """A reload names another one, the first one again, and none."""
        self.start()
        [events] = [metric for metric in GATEWAY if metric.name == "synproxy_events"]
        before: dict[Labels, Any] = {}
        for proxies in ("203.0.113.9, 203.0.113.10", "203.0.113.10", "203.0.113.9", "", "203.0.113.9"):
            self.service.configure(settings(proxies=proxies))
            self.after(1.0)
            now = dict(events.values({"synproxy": self.service.counts()}))
            self.assertEqual([label for label, count in before.items() if now.get(label, 0) < count], [], proxies)
            before = now
        self.assertEqual(now[("event", "connected"),], 4)

    def test_stops_with_its_connections(self) -> None:
        """And hears of nothing any more."""
        self.start()
        self.successResultOf(self.service.stopService())
        self.assertTrue(self.wires[0].disconnected)
        self.assertIsNone(self.allocator.ledger.noted)
        self.assertEqual(self.clock.getDelayedCalls(), [])
