"""The forwarder in a process of its own: a DNS server whose LAN it reads, and a resolver on the loopback interface."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, cast

import attrs
import dns.flags
import dns.message
import dns.query
import dns.rcode
from twisted.internet import reactor, threads
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.dns import ForwardProcess
from realmgw.daemon.child import LONGEST
from realmgw.dns.forward.apart import GRACE, MOMENT, MOST_WITHHELD, Apart, Gateway
from realmgw.dns.forward.keeping import ForwarderService
from realmgw.dns.forward.telling import END, taken_back, told
from realmgw.dns.port import DnsDatagrams
from realmgw.dns.service import DnsService
from realmgw.test.dns.forward import test_service_lists
from realmgw.test.dns.test_service import LOOPBACK, OTHER, PATIENCE, make_settings, query
from realmgw.test.subscribers.authority import Authority


class ApartTests(test_service_lists.ListsTests):
    """All that holds of lists, with the LAN read by another process; and what becomes of that."""

    def setUp(self) -> None:
        """As the configuration would have it."""
        super().setUp()
        self.told: tuple[str, ...] = ()
        self.set_process(ForwardProcess.OWN)

    def set_process(self, process: ForwardProcess) -> None:
        """From the next start or reload on."""
        of = self.settings.dns
        forward = attrs.evolve(of.forward, process=process)
        self.settings = attrs.evolve(self.settings, dns=attrs.evolve(of, forward=forward))

    def start(self, **limits: Any) -> DnsService:
        """Both services; names are asked for once it is the other process that reads."""
        service = super().start(**limits)
        self.serve(service)
        return service

    def serve(self, service: DnsService) -> None:
        """The process is begun."""

        def tell(lines: Iterable[str]) -> None:
            self.told = tuple(lines)

        self.forwarder = ForwarderService(service.shared, reactor, tell)
        self.forwarder.startService()
        self.addCleanup(self.forwarder.stopService)

    def reload(self, service: DnsService) -> None:
        """The rules are told; until then the gateway reads."""
        super().reload(service)
        self.assertFalse(self.forwarder.counts()["apart"])

    async def until(self, holds: Callable[[], object]) -> None:
        """Waits for something."""
        end = time.monotonic() + self.timeout / 2
        while not holds():
            self.assertLess(time.monotonic(), end)
            await deferLater(reactor, 0.02)

    async def apart(self) -> None:
        """Waits for the other process to read."""
        await self.until(lambda: self.forwarder.counts()["apart"])

    async def counted(self, service: DnsService) -> Any:
        """With what the next report says."""
        before = self.forwarder._counts
        await self.until(lambda: self.forwarder._counts is not before)
        return service.counts()

    async def tell(self, name: str, source: str = str(OTHER)) -> int:
        """Asked while it reads."""
        if self.forwarder.counts():
            await self.apart()
        return await super().tell(name, source)

    async def test_it_answers_what_is_not_ours(self) -> None:
        """And asks the resolver; our names are answered as ever, from the address that was asked. All is counted."""
        service = self.start()
        await self.apart()
        for _ in range(2):
            self.assertEqual(await self.tell("www.example.net."), dns.rcode.NOERROR)
            self.assertEqual(await self.tell("one.example.org."), dns.rcode.NOERROR)
            self.assertEqual(await self.tell("none.example.org."), dns.rcode.NXDOMAIN)
        self.assertEqual(self.upstream.asked[0], 1)
        self.assertEqual(self.forwarder.counts()["returned"], 4)
        counted: Any = service.counts
        await self.until(lambda: counted()["lan"]["forwarded"] == 2)
        lan, forward = counted()["lan"], counted()["forward"]
        self.assertEqual((lan["queries"], lan["messages"]["udp"]["ipv4"], lan["nxdomain"]), (6, 6, 2))
        self.assertEqual((forward["questions"], forward["hits"], forward["kept"]), (1, 1, 1))
        self.assertEqual(counted()[f"resolver {LOOPBACK}:{self.port}"]["answers"], 1)
        self.assertEqual(counted()["list ads"]["names"], 1)

    async def test_internal_names_are_the_gateways(self) -> None:
        """They may lead to names of ours, which are not known there; with nothing internal they are asked for there."""
        service = self.start()
        of = self.settings.dns
        for internal, returned in ((("example.net.",), 1), ((), 1)):
            forward = attrs.evolve(of.forward, internal=internal)
            self.settings = attrs.evolve(self.settings, dns=attrs.evolve(of, forward=forward))
            self.reload(service)
            self.assertEqual(await self.tell("www.example.net."), dns.rcode.NOERROR)
            self.assertEqual(self.forwarder.counts()["returned"], returned)
        self.assertEqual(self.upstream.asked[0], 2)

    async def test_one_that_ends_is_begun_anew(self) -> None:
        """Meanwhile the gateway answers; what was counted stays, and what was kept is forgotten."""
        service = self.start()
        self.assertEqual(await self.tell("www.example.net."), dns.rcode.NOERROR)
        counted: Any = service.counts
        await self.until(lambda: counted()["forward"]["questions"] == 1)
        child: Any = self.forwarder._child
        os.kill(child.pid, signal.SIGKILL)
        await self.until(lambda: self.told)
        self.assertIn("signal 9", self.told[0])
        self.assertEqual(await super().tell("www.example.net."), dns.rcode.NOERROR)
        self.assertEqual((counted()["forward"]["questions"], counted()["forward"]["kept"]), (2, 1))
        await self.apart()
        self.assertEqual((self.told, self.forwarder.counts()["begun"]), ((), 2))

    async def test_one_that_is_not_wanted_any_more_ends(self) -> None:
        """A reload says so, and that it is; by TCP the gateway answers all the time."""
        service = self.start()
        await self.apart()
        query = dns.message.make_query("www.example.net.", "A", use_edns=0)
        answer = await threads.deferToThread(dns.query.tcp, query, str(LOOPBACK), PATIENCE, self.lan_port)
        self.assertTrue(answer.flags & dns.flags.RA)
        self.set_process(ForwardProcess.GATEWAY)
        self.reload(service)
        self.assertIsNone(self.forwarder._child)
        self.assertEqual(await super().tell("two.example.net."), dns.rcode.NOERROR)
        self.set_process(ForwardProcess.OWN)
        self.reload(service)
        self.assertEqual(await self.tell("three.example.net."), dns.rcode.NOERROR)
        self.assertEqual(self.forwarder.counts()["begun"], 2)

    async def test_one_that_can_not_go_by_the_rules(self) -> None:
        """The certificates are gone since they were read: that is said, and the gateway answers."""
        path = Authority(self.ads.parent.absolute()).path
        forward = attrs.evolve(self.settings.dns.forward, ca_file=path)
        self.settings = attrs.evolve(self.settings, dns=attrs.evolve(self.settings.dns, forward=forward))
        service = super().start()
        path.unlink()
        self.serve(service)
        await self.until(lambda: self.told)
        self.assertIn("can not be read as certificates", self.told[0])
        self.assertEqual(await super().tell("www.example.net."), dns.rcode.NOERROR)


class HandingBackTests(SynchronousTestCase):
    """The process, without one."""

    def setUp(self) -> None:
        """It goes by rules, and has one socket."""
        self.back, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        lan = socket.socket(type=socket.SOCK_DGRAM)
        for each in (self.back, theirs, lan):
            self.addCleanup(each.close)
        theirs.setblocking(False)
        self.reactor = PortReactor()
        self.apart = Apart(self.reactor, self.reactor.seconds, theirs, [lan])
        made = make_settings(1, 2)
        for news in told(3, made, ()):
            self.apart.hear(news)
        [self.datagrams] = self.reactor.adopted
        self.reactor.port.handle = lan

    def test_what_is_on_the_way_back_is_bounded(self) -> None:
        """More is lost, and counted; what was handed back counts for the gateway, which counts it."""
        message = query()
        for _ in range(5000):
            self.datagrams.datagramReceived(message, ("192.0.2.7", 4000))
        lost = self.apart.report()["unreturned"]
        self.assertTrue(0 < lost < 5000)
        self.assertEqual(taken_back(self.back.recv(2048)), (0, "192.0.2.7", 4000, message))
        self.assertEqual(self.apart.report()["counts"]["lan"]["queries"], 0)

    def test_names_that_are_not_to_be_had_are_told(self) -> None:
        """The latest of them, so often as there is a report; all of it fits into one, whatever it is."""
        name = b"\x3f" + b"x" * 63
        for number in range(MOST_WITHHELD + 1):
            self.apart._note(float(number), name * 3 + b"\0", "fe80::7%" + "l" * 15, "ä" * 999)
        for _ in range(2):
            told = self.apart.report()["withheld"]
            self.assertEqual([each[0] for each in told], list(range(1, MOST_WITHHELD + 1)))
        self.assertLess(len(json.dumps(told)), LONGEST * 2 // 3)

    def test_nothing_is_read_while_rules_are_told(self) -> None:
        """From their beginning to their end."""
        for news in told(4, make_settings(1, 2), ()):
            self.apart.hear(news)
            self.assertEqual(self.reactor.port.is_read, news[0] == END)
        self.assertEqual(self.apart.report()["number"], 4)


class PortReactor(Clock):
    """One that takes sockets over."""

    def __init__(self) -> None:
        super().__init__()
        self.adopted = list[DnsDatagrams]()
        self.port = AdoptedPort()

    def adoptDatagramPort(self, number: int, family: int, protocol: DnsDatagrams, *, maxPacketSize: int) -> AdoptedPort:
        """It has it."""
        del family, maxPacketSize
        self.port.handle = socket.socket(fileno=os.dup(number))
        self.adopted.append(protocol)
        port: Any = self.port
        protocol.makeConnection(port)
        return self.port


class AdoptedPort:
    """A socket that was taken over."""

    handle: socket.socket
    is_read = True

    def getHandle(self) -> socket.socket:
        """The socket."""
        return self.handle

    def startReading(self) -> None:
        """It is read."""
        self.is_read = True

    def stopReading(self) -> None:
        """Not any more."""
        self.is_read = False


class SayingTests(SynchronousTestCase):
    """What is wrong in the process is told."""

    def test_faults_are_reported_not_what_is_right(self) -> None:
        """The last one, and how many there were; no report while the gateway has not read the last ones."""
        apart: Any = AnyApart()
        gateway, transport = Gateway(apart, Clock()), StringTransport()
        gateway.makeConnection(transport)
        self.addCleanup(gateway._reporting.stop)
        for level in (LogLevel.info, LogLevel.critical):
            gateway({"log_level": level, "log_format": "a {what}", "what": level.name})
        gateway._report()
        self.assertEqual(json.loads(transport.value()), {"number": 1, "said": [1, "a critical"]})
        gateway.pauseProducing()
        gateway._report()
        self.assertEqual(transport.value().count(b"\n"), 1)

    def test_it_ends_when_nobody_waits(self) -> None:
        """Once the gateway wants it; and not later than it has to, whoever waits."""
        for waits in (3 * MOMENT, 10 * GRACE):
            apart, clock = AnyApart(), EndingClock()
            gateway = Gateway(cast("Any", apart), clock)
            gateway.makeConnection(StringTransport())
            apart.clock, apart.waits = clock, waits
            gateway.connectionLost(Failure(ConnectionDone()))
            clock.pump([MOMENT] * 2)
            self.assertFalse(clock.has_stopped)
            clock.pump([MOMENT] * int(GRACE / MOMENT + 2))
            self.assertTrue(clock.has_stopped)


class EndingClock(Clock):
    """A reactor that ends."""

    has_stopped = False

    def stop(self) -> None:
        """It does."""
        assert not self.has_stopped
        self.has_stopped = True


class AnyApart:
    """A forwarder that has nothing to tell."""

    clock: Clock
    waits = 0.0

    def rest(self) -> bool:
        """Whether nobody waits."""
        return self.clock.seconds() >= self.waits

    def report(self) -> dict[str, Any]:
        """Its number."""
        return {"number": 1}
