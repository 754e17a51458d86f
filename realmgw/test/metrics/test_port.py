"""Tests for `realmgw.metrics.port`: who may ask, for what, and how often at once."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.limits import METRICS_CONNECTIONS
from realmgw.metrics.port import OF_ONE, MetricsFactory
from realmgw.metrics.text import Format
from realmgw.system.http import LIFE, MAX_FIELDS, MAX_HEAD
from realmgw.test.portal.test_port import Transport

GET = b"GET /metrics HTTP/1.1\r\nHost: gw\r\nAccept: %s\r\n\r\n"
PEERS = {"4": "127.0.0.1", "6": "2001:db8::9"}


class PortTests(SynchronousTestCase):
    """A factory without sockets; what is asked for is answered by hand."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[Format, Deferred[bytes]]] = []
        clients = (ip_network("127.0.0.0/8"), ip_network("2001:db8::/64"))
        self.factory = MetricsFactory(self.clock, self.scrape, clients)

    def scrape(self, wanted: Format) -> Deferred[bytes]:
        """Notes it."""
        self.asked.append((wanted, Deferred()))
        return self.asked[-1][1]

    def connect(self, client: str = "127.0.0.1") -> tuple[Any, Transport]:
        """Somebody connects; without an address, by a unix socket."""
        kind = IPv6Address if ":" in client else IPv4Address
        peer: Any = kind("TCP", client, 40000) if client else UNIXAddress(b"")
        protocol: Any = self.factory.buildProtocol(peer)
        transport = Transport(hostAddress=peer, peerAddress=peer)
        protocol.makeConnection(transport)
        return protocol, transport

    def ask(self, octets: bytes, client: str = "127.0.0.1") -> Transport:
        """What is said to somebody who sends this."""
        protocol, transport = self.connect(client)
        if not transport.aborted:
            protocol.dataReceived(octets)
        return transport

    def test_metrics_are_told_in_the_format_that_is_wanted(self) -> None:
        """When they are gathered; and the connection ends."""
        opened = b"application/openmetrics-text"
        for accept, kind in ((b"*/*", b"text/plain; version=0.0.4"), (opened, opened)):
            transport = self.ask(GET % accept)
            self.assertEqual(transport.value(), b"")
            self.asked[-1][1].callback(b"realmgw_x 1\n")
            head, _, body = transport.value().partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200 OK\r\n"))
            self.assertIn(b"content-type: " + kind, head.lower())
            self.assertIn(b"content-length: 12", head.lower())
            self.assertEqual(body, b"realmgw_x 1\n")
            self.assertTrue(transport.disconnecting)

    def test_who_is_not_named_is_not_heard(self) -> None:
        """Of either family; a unix socket has its permissions."""
        heard = {"127.9.9.9": True, "192.0.2.1": False, "2001:db8::1": True, "2001:db9::1": False, "": True}
        for client, is_heard in heard.items():
            transport = self.ask(GET % b"*/*", client)
            self.assertEqual(transport.aborted, not is_heard, client)
        counts = self.factory.counts()
        self.assertEqual((len(self.asked), counts["forbidden"], counts["connections"]), (3, 2, 5))
        self.factory.clients = (ip_network("192.0.2.0/24"),)
        self.assertEqual((self.connect("192.0.2.1")[1].aborted, self.connect()[1].aborted), (False, True))

    def test_what_is_no_request_for_metrics_is_refused(self) -> None:
        """With what to ask for; nothing is gathered for it."""
        for octets, status in (
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"404 Not Found"),
            (b"GET /metrics/ HTTP/1.1\r\nHost: a\r\n\r\n", b"404 Not Found"),
            (b"GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n", b"404 Not Found"),
            (b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", b"405 Method Not Allowed"),
            (b"nonsense\r\n\r\n", b"400 Bad Request"),
            (b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * (MAX_FIELDS + 1) + b"\r\n", b"400 Bad Request"),
            (b"GET /metrics HTTP/1.1\r\nX: " + b"y" * MAX_HEAD + b"\r\n\r\n", b"400 Bad Request"),
        ):
            transport = self.ask(octets)
            self.assertTrue(transport.value().startswith(b"HTTP/1.1 " + status), (octets[:40], transport.value()[:60]))
            self.assertTrue(transport.disconnecting)
        self.assertEqual((self.asked, self.factory.counts()["wrong"]), ([], 4))

    def test_a_parameter_changes_nothing(self) -> None:
        """Some scrapers write one."""
        self.ask(b"GET /metrics?name[]=x HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(len(self.asked), 1)

    def test_a_fault_is_told_and_logged(self) -> None:
        """Who asked is told that there was one, and no more."""
        transport = self.ask(GET % b"*/*")
        self.asked[0][1].errback(ValueError("secret"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 500 "))
        self.assertNotIn(b"secret", transport.value())
        self.assertEqual(self.factory.counts()["failed"], 1)

    def test_who_has_gone_is_not_answered(self) -> None:
        """Nothing is written, and nothing fails."""
        protocol, transport = self.connect()
        protocol.dataReceived(GET % b"*/*")
        protocol.connectionLost()
        self.asked[0][1].callback(b"x")
        self.assertEqual(transport.value(), b"")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_connections_are_few_and_short(self) -> None:
        """Of one client, and of all; who says nothing is cut."""
        his = [self.connect() for _ in range(OF_ONE)]
        self.assertTrue(self.connect()[1].aborted)
        for number in range(METRICS_CONNECTIONS):
            self.connect(f"2001:db8::{number:x}")
        self.assertTrue(his[0][1].aborted)
        self.clock.advance(LIFE)
        counts = self.factory.counts()
        self.assertEqual((counts["crowded"], counts["displaced"]), (1, OF_ONE))
        self.assertGreaterEqual(counts["late"], METRICS_CONNECTIONS)
