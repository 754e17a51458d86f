"""Tests for `realmgw.portal.port`: clients that take their time, send too much, or are too many."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.limits import PORTAL_CONNECTIONS
from realmgw.portal.port import OF_ONE, PortalFactory
from realmgw.system.endpoints import plain_address
from realmgw.system.http import LIFE, MAX_BODY, MAX_FIELDS, MAX_HEAD
from realmgw.test.portal.test_answers import answers

GET = b"GET /generate_204 HTTP/1.1\r\nHost: connectivitycheck.gstatic.com\r\n\r\n"


class Transport(StringTransport):
    """What a connection says.

    Attributes:
        aborted: Whether it was ended at once.
    """

    aborted = False

    def abortConnection(self) -> None:
        """Notes it."""
        self.aborted = True
        self.disconnecting = True


class PortTestCase(SynchronousTestCase):
    """A portal without sockets."""

    def setUp(self) -> None:
        self.clock, self.known = Clock(), set[bytes]()
        self.factory = PortalFactory(self.clock, lambda each: each if each in self.known else None, answers())

    def connect(self, client: str = "192.168.0.9", at: str = "192.168.0.1") -> tuple[Any, Transport]:
        """Somebody connects."""
        kind = IPv6Address if ":" in client else IPv4Address
        peer = kind("TCP", client, 40000)
        protocol: Any = self.factory.buildProtocol(peer)
        transport = Transport(hostAddress=kind("TCP", at, 80), peerAddress=peer)
        protocol.makeConnection(transport)
        return protocol, transport

    def ask(self, *octets: bytes, client: str = "192.168.0.9") -> Transport:
        """What is said to somebody who sends this."""
        protocol, transport = self.connect(client)
        for each in octets:
            protocol.dataReceived(each)
        return transport


class RequestTests(PortTestCase):
    """One connection."""

    def test_a_request_is_answered_and_the_connection_ends(self) -> None:
        """So that no browser keeps one for later; a second request on it is not heard."""
        transport = self.ask(GET, GET)
        said = transport.value()
        self.assertTrue(said.startswith(b"HTTP/1.1 302 Found\r\n"))
        self.assertEqual(said.count(b"HTTP/1.1"), 1)
        self.assertTrue(transport.disconnecting)
        head, _, body = said.partition(b"\r\n\r\n")
        self.assertIn(f"Content-Length: {len(body)}".encode().lower(), head.lower())
        for field in (
            b"location: http://192.168.0.1/",
            b"cache-control: private, no-store",
            b"content-security-policy: ",
        ):
            self.assertIn(b"\r\n" + field, head.lower())
        self.assertNotIn(b"server:", head.lower())

    def test_head_has_no_body(self) -> None:
        """And the same fields."""
        head, _, body = self.ask(GET.replace(b"GET", b"HEAD")).value().partition(b"\r\n\r\n")
        self.assertEqual((head.split(b"\r\n")[0], body), (b"HTTP/1.1 302 Found", b""))
        self.assertRegex(head.lower(), rb"content-length: [1-9]")

    def test_who_asks_is_known_by_his_address(self) -> None:
        """Of either family."""
        for client in ("192.168.0.9", "fd00::9"):
            self.known = {plain_address(client).packed}
            said = self.ask(b"GET / HTTP/1.1\r\nHost: 192.168.0.1\r\n\r\n", client=client).value()
            self.assertIn(b"You are connected", said)
            self.known.clear()
            said = self.ask(b"GET / HTTP/1.1\r\nHost: 192.168.0.1\r\n\r\n", client=client).value()
            self.assertIn(b"Not registered yet", said)

    def test_who_takes_it_for_his_proxy_comes_to_the_page(self) -> None:
        """He writes whole URLs, and is not sent round and round."""
        for url, host, status in (
            (b"http://example.org/success.txt", b"example.org", b"302"),
            (b"http://192.168.0.1/", b"192.168.0.1", b"200"),
            (b"HTTP://192.168.0.1", b"example.org", b"200"),
            (b"http://example.org/", b"192.168.0.1", b"302"),
            (b"http://192.168.0.1/captive-portal/api", b"192.168.0.1", b"200"),
            (b"/a?u=http://192.168.0.1/", b"192.168.0.1", b"302"),
        ):
            said = self.ask(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (url, host)).value()
            self.assertEqual(said.split(b" ")[1], status, url)

    def test_old_and_odd_requests_are_answered(self) -> None:
        """Without a host; as to a proxy; with a body that nobody reads."""
        for octets in (
            b"GET / HTTP/1.0\r\n\r\n",
            b"GET http://example.net/x HTTP/1.1\r\nHost: example.net\r\n\r\n",
            b"GET /%ff%00?\\ HTTP/1.1\r\nHost: \xff\r\n\r\n",
        ):
            self.assertRegex(self.ask(octets).value(), rb"\AHTTP/1\.[01] 302 Found\r\n")
        post = b"POST /x HTTP/1.1\r\nHost: example.net\r\nContent-Length: 5\r\n\r\n"
        self.assertIn(b" 511 ", self.ask(post, b"hello").value())

    def test_what_is_no_request_is_refused(self) -> None:
        """And the connection ends."""
        long = b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * MAX_HEAD + b"\r\n\r\n"
        many = b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (MAX_FIELDS + 1) + b"\r\n"
        for octets in (b"\x16\x03\x01\x02\x00\x01\r\n", b"nonsense\r\n\r\n", long, many):
            transport = self.ask(octets)
            self.assertTrue(transport.value().startswith(b"HTTP/1.1 400 Bad Request\r\n"), octets[:40])
            self.assertTrue(transport.disconnecting)

    def test_a_line_that_does_not_end_is_cut(self) -> None:
        """It is not kept, however much of it comes."""
        transport = self.ask(*[b"x" * 4096] * 8)
        self.assertTrue(transport.disconnecting)

    def test_a_body_is_forgotten_and_its_connection_cut(self) -> None:
        """Whether its length was said or not."""
        for head in (b"Content-Length: 99999999", b"Transfer-Encoding: chunked"):
            chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
            protocol, transport = self.connect()
            protocol.dataReceived(b"POST / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n")
            for _ in range(MAX_BODY // 4096 + 1):
                protocol.dataReceived(chunk)
            self.assertTrue(transport.aborted)
            self.assertEqual(protocol.requests[0].content.getvalue(), b"")

    def test_who_takes_too_long_is_cut(self) -> None:
        """However often he sends a little of his request."""
        protocol, transport = self.connect()
        for octet in GET[: int(LIFE) - 1]:
            protocol.dataReceived(bytes((octet,)))
            self.clock.advance(1.0)
            self.assertFalse(transport.aborted)
        self.clock.advance(1.0)
        self.assertTrue(transport.aborted)
        self.assertEqual(self.factory.late, 1)


class CrowdTests(PortTestCase):
    """Many connections."""

    def test_one_guest_has_a_few(self) -> None:
        """Others come nevertheless, and he again, when one of his is over."""
        his = [self.connect() for _ in range(OF_ONE)]
        refused, transport = self.connect()
        self.assertTrue(transport.aborted)
        refused.connectionLost()
        self.assertEqual((self.factory.crowded, self.factory.counts()["open"]), (1, OF_ONE))
        self.assertFalse(self.connect("192.168.0.10")[1].aborted)
        self.assertFalse(self.connect("fd00::9")[1].aborted)
        his[0][0].connectionLost()
        self.assertFalse(self.connect()[1].aborted)
        self.assertTrue(self.connect()[1].aborted)

    def test_the_oldest_one_goes_when_there_are_too_many(self) -> None:
        """Whoever comes with many addresses holds none of them for long; what is left counts right."""
        first = self.connect("192.168.1.1")
        for number in range(PORTAL_CONNECTIONS - 1):
            self.connect(f"fd00::{number + 1:x}")
        self.assertFalse(first[1].aborted)
        self.assertFalse(self.connect()[1].aborted)
        self.assertTrue(first[1].aborted)
        for _ in range(2):  # it has no place any more, whether its end was heard of or not
            self.assertEqual((self.factory.displaced, self.factory.counts()["open"]), (1, PORTAL_CONNECTIONS))
            first[0].connectionLost()

    def test_guests_who_are_registered_are_cut(self) -> None:
        """Those only."""
        one, other = self.connect("192.168.0.9"), self.connect("fd00::9")
        self.factory.dismiss({plain_address("192.168.0.9").packed})
        self.assertEqual((one[1].aborted, other[1].aborted), (True, False))
        self.factory.disconnect()
        self.assertTrue(other[1].aborted)

    def test_nothing_is_left_of_connections(self) -> None:
        """No timer, and no place."""
        connected = [self.connect() for _ in range(5)]
        for each in connected:
            each[0].dataReceived(GET)
            each[0].connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        counts = self.factory.counts()
        self.assertEqual((counts["open"], counts["redirects"], counts["connections"]), (0, 5, 5))
        self.assertEqual(self.factory._of, {})
