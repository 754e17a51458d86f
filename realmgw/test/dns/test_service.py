"""The DNS server on real sockets of the loopback interface."""

from __future__ import annotations

import errno
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from os import environ
from typing import Any

import attrs
import dns.edns
import dns.message
import dns.rcode
from twisted.internet import reactor, threads, utils
from twisted.internet.error import CannotListenError
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from realmgw.config import settings
from realmgw.dns.counts import Count
from realmgw.dns.port import UDP_TURN, UDP_TURN_BESIDE, DnsDatagrams
from realmgw.dns.service import DnsService
from realmgw.errors import PlatformError, Reason
from realmgw.test import programs
from realmgw.test.dns import realm
from realmgw.test.dns.allocator import MemoryAllocator

LOOPBACK = IPv4Address("127.0.0.1")
OTHER = IPv4Address("127.0.0.2")
PATIENCE = 5.0  # seconds that a client in these tests waits for an answer


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses for UDP or TCP at this moment."""
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            tcp = stack.enter_context(socket.socket())
            tcp.bind((str(LOOPBACK), 0))
            udp = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            found.append(tcp.getsockname()[1])
        return found


def make_settings(wan: int, lan: int, **limits: Any) -> settings.Settings:
    """A gateway that listens on two loopback addresses for the WAN and on one for the LAN."""
    endpoints = (settings.Endpoint(LOOPBACK, wan), settings.Endpoint(OTHER, wan))
    return settings.Settings(
        "gateway",
        realm.ZONES,
        settings.Interfaces("wan", ("lan",)),
        settings.Pools((settings.PoolPrefix(realm.POOL, settings.Attachment.ROUTED),), realm.SERVICE_POOL),
        settings.Dns(settings.DnsView(endpoints, **limits), settings.DnsView((settings.Endpoint(LOOPBACK, lan),))),
        policy=realm.PLAIN,
    )


def query(name: str = "one.example.org.", **options: Any) -> bytes:
    """A query for an address."""
    return bytes(dns.message.make_query(name, "A", **options).to_wire(max_size=4096))


def framed(message: bytes) -> bytes:
    """A message with its length."""
    return len(message).to_bytes(2, "big") + message


class Client:
    """A client over TCP, in blocking calls for a thread."""

    def __init__(self, port: int) -> None:
        """Connects."""
        self.socket = socket.create_connection((str(LOOPBACK), port), PATIENCE)

    def __enter__(self) -> Client:
        """It is connected."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes."""
        self.socket.close()

    def send(self, octets: bytes) -> None:
        """Sends octets."""
        self.socket.sendall(octets)

    def answers(self) -> Iterator[dns.message.Message]:
        """Answers, until the server closes."""
        with self.socket.makefile("rb") as stream:
            while length := stream.read(2):
                yield dns.message.from_wire(stream.read(int.from_bytes(length, "big")))


class ServiceTestCase(TestCase):
    """A running service, and clients in threads."""

    timeout = 60

    def setUp(self) -> None:
        """Nothing runs yet."""
        self.wan_port, self.lan_port = free_ports(2)
        self.allocator = MemoryAllocator(realm.POOL_ADDRESS.packed)

    def start(self, **limits: Any) -> DnsService:
        """Starts a service; it is stopped after the test."""
        service = self.make(**limits)
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def make(self, **limits: Any) -> DnsService:
        """A service that is not started."""
        made = make_settings(self.wan_port, self.lan_port, **limits)
        return DnsService(made, realm.directory(), self.allocator, reactor, time.monotonic)

    def ask(self, message: bytes, port: int = 0, address: IPv4Address = LOOPBACK) -> tuple[dns.message.Message, Any]:
        """The answer to a query by UDP, and where it came from; blocks, so call it in a thread."""
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            client.sendto(message, (str(address), port or self.wan_port))
            octets, source = client.recvfrom(65535)
            return dns.message.from_wire(octets), source


class ServiceTests(ServiceTestCase):
    """Start, stop, and change."""

    async def test_answers_on_every_view_from_the_address_that_was_asked(self) -> None:
        """The WAN's from the pool, the LAN's with private addresses."""
        self.start()
        for address in (LOOPBACK, OTHER):
            answer, source = await threads.deferToThread(self.ask, query(), self.wan_port, address)
            self.assertEqual(answer.answer[0][0].address, str(realm.POOL_ADDRESS))
            self.assertEqual(source, (str(address), self.wan_port))
        answer, _ = await threads.deferToThread(self.ask, query(), self.lan_port)
        self.assertEqual(answer.answer[0][0].address, "192.168.0.1")

    async def test_takes_no_longer_query_than_it_says(self) -> None:
        """By UDP; it is cut, and what is left is malformed."""
        self.start()
        for padding, rcode in ((1000, dns.rcode.NOERROR), (1400, dns.rcode.FORMERR)):
            options: list[dns.edns.Option] = [dns.edns.GenericOption("PADDING", bytes(padding))]
            answer, _ = await threads.deferToThread(self.ask, query(use_edns=0, options=options, payload=4096))
            self.assertEqual(answer.rcode(), rcode)

    async def test_listens_on_ipv6(self) -> None:
        """By UDP and TCP."""
        service = self.make()
        endpoint = settings.Endpoint(IPv6Address("::1"), self.wan_port)
        service.wan.limits = attrs.evolve(service.wan.limits, listen=(endpoint,))
        try:
            service.startService()
        except PlatformError as error:
            raise SkipTest(f"no IPv6 on the loopback interface: {error}") from error
        self.addCleanup(service.stopService)

        def client() -> tuple[bytes, bytes]:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
                udp.settimeout(PATIENCE)
                udp.sendto(query(id=1), ("::1", self.wan_port))
                by_udp = udp.recv(512)
            with socket.create_connection(("::1", self.wan_port), PATIENCE) as tcp:
                tcp.sendall(framed(query(id=2)))
                return by_udp, tcp.recv(512)[2:]

        answers = await threads.deferToThread(client)
        self.assertEqual([dns.message.from_wire(answer).id for answer in answers], [1, 2])

    async def test_answers_by_tcp_out_of_order(self) -> None:
        """A waiting query holds up none behind it."""
        service = self.start()
        self.allocator.refusal = Reason.EXHAUSTED

        def client() -> list[int]:
            with Client(self.wan_port) as connection:
                connection.send(framed(query(id=1)) + framed(query("www.two.example.org.", id=2)))
                return [answer.id for answer in islice(connection.answers(), 2)]

        ids = threads.deferToThread(client)
        while not service.wan.events[Count.ADDRESSES]:
            await deferLater(reactor, 0.01)
        self.allocator.finish(realm.POOL_ADDRESS.packed)
        self.assertEqual(await ids, [2, 1])

    async def test_answers_many_queries_in_one_connection(self) -> None:
        """Pipelined, more than are taken in one turn, from a client that reads late."""
        service = self.start()

        def client() -> list[int]:
            with Client(self.wan_port) as connection:
                connection.send(b"".join(framed(query(id=number)) for number in range(2000)))
                connection.socket.shutdown(socket.SHUT_WR)
                return [answer.id for answer in connection.answers()]

        self.assertEqual(await threads.deferToThread(client), list(range(2000)))
        self.assertEqual(service.wan.events[Count.TCP_CONNECTIONS], 1)

    async def test_stops_reading_from_a_client_that_does_not_read(self) -> None:
        """Its answers stay bounded, others are answered, and it is closed in the end."""
        service = self.start(tcp_idle_timeout=0.5)

        def client() -> int:
            with Client(self.wan_port) as connection:
                sent = 0
                connection.socket.settimeout(30.0)  # it is the server that has to lose patience
                try:
                    while sent < 50_000_000:
                        sent += connection.socket.send(framed(query()) * 1000)
                except OSError:
                    return sent
                return sent

        self.assertLess(await threads.deferToThread(client), 50_000_000)
        self.assertEqual(service.wan.events[Count.TCP_IDLE], 1)

    async def test_closes_for_slow_senders_and_lies(self) -> None:
        """A length without its message, and a message with a length that no query has."""
        self.start(tcp_idle_timeout=0.3)

        def client(octets: bytes) -> list[dns.message.Message]:
            with Client(self.wan_port) as connection:
                connection.send(octets)
                return list(connection.answers())

        for octets in (b"\0", b"\0\x20" + query()[:9], b"\0\5" + query(), b"\xff\xff" + query()):
            self.assertEqual(await threads.deferToThread(client, octets), [])

    async def test_keeps_to_the_cap_of_connections(self) -> None:
        """Of one client: for one more, the one of them that was silent longest is closed."""
        self.start(tcp_connections_per_client=2)

        def client() -> list[int]:
            with ExitStack() as stack:
                three = [stack.enter_context(Client(self.wan_port)) for _ in range(3)]
                for connection in three[1:]:
                    connection.send(framed(query()))
                    connection.socket.shutdown(socket.SHUT_WR)
                with self.assertRaises(ConnectionResetError):
                    list(three[0].answers())
                return [len(list(connection.answers())) for connection in three[1:]]

        self.assertEqual(await threads.deferToThread(client), [1, 1])

    async def test_frees_its_sockets_when_it_stops(self) -> None:
        """Open connections are closed; the next one can bind at once."""
        service = self.make()
        service.startService()
        connection = await threads.deferToThread(Client, self.wan_port)
        while not service.wan.streams:
            await deferLater(reactor, 0.01)
        await service.stopService()
        with connection:
            self.assertEqual(connection.socket.recv(1), b"")
        self.start()


class TurnTests(ServiceTestCase):
    """How much is taken of one socket before others have their turn."""

    async def test_a_lan_that_asks_a_lot_holds_up_nobody_on_the_wan(self) -> None:
        """Of its queries there are fewer in a turn."""
        self.start()
        turns: dict[int, int] = {}
        readers: list[Any] = list(reactor.getReaders())
        for reader in readers:
            if isinstance(getattr(reader, "protocol", None), DnsDatagrams):
                turns[reader.getHost().port] = reader.maxThroughput
        self.assertEqual(turns, {self.wan_port: UDP_TURN, self.lan_port: UDP_TURN_BESIDE})
        self.assertLess(UDP_TURN_BESIDE, UDP_TURN)


class UnprivilegedReactor:
    """A reactor that may bind nothing."""

    def listenUDP(self, port: int, protocol: object, interface: str, maxPacketSize: int) -> object:
        """The kernel says no."""
        del protocol, maxPacketSize
        raise CannotListenError(interface, port, PermissionError(errno.EACCES, "Permission denied"))


class PlatformTests(ServiceTestCase):
    """A socket that can not be bound: one line that says what to do, and nothing stays bound."""

    def refused(self, service: DnsService) -> str:
        """What the service says when it can not start."""
        error = self.assertRaises(PlatformError, service.startService)
        self.assertFalse(service.running)
        self.assertNotIn("\n", str(error))
        return str(error)

    async def test_says_who_may_have_a_port(self) -> None:
        """For both transports."""
        for kind, transport in ((socket.SOCK_DGRAM, "UDP"), (socket.SOCK_STREAM, "TCP")):
            with socket.socket(type=kind) as other:
                other.bind((str(OTHER), self.wan_port))
                if kind == socket.SOCK_STREAM:
                    other.listen()
                said = self.refused(self.make())
            self.assertIn(f"{transport} 127.0.0.2 port {self.wan_port}: another program has it", said)
            self.assertIn("systemd-resolved", said)
            await deferLater(reactor, 0)
        self.start()

    def test_says_which_capability_is_missing(self) -> None:
        """Port 53 is not for everybody."""
        service = DnsService(
            make_settings(53, 53), realm.directory(), self.allocator, UnprivilegedReactor(), time.monotonic
        )
        self.assertIn("UDP 127.0.0.1 port 53: ports below 1024 need CAP_NET_BIND_SERVICE", self.refused(service))

    async def test_says_that_an_address_is_not_there(self) -> None:
        """An address of no interface."""
        service = self.make()
        endpoint = settings.Endpoint(IPv4Address("192.0.2.77"), self.wan_port)
        service.lan.limits = attrs.evolve(service.lan.limits, listen=(endpoint,))
        self.assertIn("no interface of this machine has that address", self.refused(service))
        await deferLater(reactor, 0)


# The queries of ISC's EDNS compliance test (https://kb.isc.org/docs/edns-compatibility-dig-queries), and what RFC 8906
# section 8 adds; what has to be in dig's output, and what must not be.
COMPLIANCE = [
    ("soa +noedns +noad +norec", "status: NOERROR", "EDNS:"),
    ("soa +edns=0 +nocookie +noad +norec", "status: NOERROR.*EDNS: version: 0, flags:;", "status: BADVERS"),
    ("soa +edns=100 +noednsneg +nocookie +noad +norec", "status: BADVERS.*EDNS: version: 0", "SOA\tns1|version: 100"),
    ("soa +ednsopt=100 +nocookie +noad +norec", "status: NOERROR.*EDNS: version: 0", "OPT=100"),
    ("soa +ednsflags=0x80 +nocookie +noad +norec", "status: NOERROR.*EDNS: version: 0, flags:;", "MBZ"),
    ("soa +dnssec +nocookie +noad +norec", "status: NOERROR.*EDNS: version: 0, flags: do;", "MBZ"),
    ("soa +dnssec +bufsize=512 +ignore +nocookie +noad +norec", "status: NOERROR.*EDNS: version: 0, flags: do;", "MBZ"),
    ("soa +edns=100 +noednsneg +ednsopt=100 +nocookie +norec", "status: BADVERS.*EDNS: version: 0", "OPT=100"),
    ("soa +cookie +norec", "status: NOERROR.*EDNS: version: 0", "BADCOOKIE"),
    ("a +noedns +norec", "status: NOERROR", "EDNS:"),
    ("type1000 +noedns +norec", "status: NOERROR.*ANSWER: 0, AUTHORITY: 1", "EDNS:"),
    ("soa +noedns +zflag +norec", "status: NOERROR.*flags: qr aa;", "MBZ"),
    ("soa +noedns +cdflag +norec", "status: NOERROR.*flags: qr aa cd;", "MBZ"),
    ("soa +noedns +adflag +norec", "status: NOERROR.*flags: qr aa;", "MBZ"),
    ("soa +noedns +aaflag +norec", "status: NOERROR.*flags: qr aa;", "MBZ"),
    ("soa +opcode=15 +header-only +norec", "opcode: RESERVED15, status: NOTIMP", "status: FORMERR"),
    ("soa +opcode=15 +nocookie +norec", "opcode: RESERVED15, status: NOTIMP.*EDNS: version: 0", "status: FORMERR"),
]


class ComplianceTests(ServiceTestCase):
    """EDNS compliance, as the people who survey it test it, with dig."""

    async def dig(self, arguments: str) -> str:
        """What dig prints, on one line."""
        if reason := programs.missing("dig"):
            raise SkipTest(reason)
        command = [f"@{LOOPBACK}", "-p", str(self.wan_port), "+time=2", "+tries=1", "example.org", *arguments.split()]
        output, error, status = await utils.getProcessOutputAndValue("dig", command, env=environ)
        self.assertEqual(status, 0, (arguments, output, error))
        return str(output.decode().replace("\n", " "))

    async def test_passes_every_query_by_udp_and_tcp(self) -> None:
        """Every one of them, and the transports do not differ."""
        self.start()
        for arguments, expected, unexpected in COMPLIANCE:
            for transport in ("+notcp", "+tcp"):
                output = await self.dig(f"{arguments} {transport}")
                self.assertTrue(re.search(expected, output), (arguments, transport, output))
                self.assertFalse(re.search(unexpected, output), (arguments, transport, output))


class LoadTests(ServiceTestCase):
    """Many at once."""

    async def test_answers_a_burst(self) -> None:
        """More queries at once than one turn takes: none is lost, other events come in between."""
        service = self.start()
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect((str(LOOPBACK), self.wan_port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            for number in range(500):
                client.send(query(id=number))
            while service.wan.events[Count.RESERVED] < 500:
                await deferLater(reactor, 0.01)
            client.setblocking(False)
            self.assertEqual({client.recv(512)[:2] for _ in range(500)}, {n.to_bytes(2, "big") for n in range(500)})
