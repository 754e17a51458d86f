"""Tests for `realmgw.repository.port`: clients that take their time, and more of them than there are places."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from realmgw.repository.connections import KNOWN_OF_ONE, STRANGERS, STRANGERS_OF_ONE
from realmgw.repository.port import BODY_TIME, HEAD_TIME, IDLE_TIME, IMPORT_TIME, SILENCE, Channel, RepositorySite
from realmgw.repository.server import root
from realmgw.repository.tokens import Access, Tokens
from realmgw.system.tls import tls_options
from realmgw.test.repository.site import READ_TOKEN, WRITE_TOKEN, SiteTestCase
from realmgw.test.subscribers.authority import Authority

TOKENS = Tokens(WRITE_TOKEN, READ_TOKEN)
READER = {"authorization": f"Bearer {READ_TOKEN}"}


class Raw(Protocol):
    """A client that sends what it is told to.

    Attributes:
        said: What the server has said.
        over: Fires when the connection has ended.
    """

    def __init__(self) -> None:
        self.said = b""
        self.over: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Keeps it."""
        self.said += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        del reason
        self.over.callback(None)


class CrowdTests(SiteTestCase):
    """Strangers without a token, all at once."""

    tokens = TOKENS

    @inlineCallbacks
    def crowd(self, count: int, sources: int) -> Any:
        """So many connect from so many addresses, each with the first octets of a request that does not come."""
        made = []
        for number in range(count):
            endpoint = HostnameEndpoint(
                cast(Any, reactor), "127.0.0.1", self.number, bindAddress=f"127.0.1.{number % sources + 1}"
            )
            raw = yield endpoint.connect(Factory.forProtocol(Raw))
            raw.transport.write(b"GET / HT")
            made.append(raw)
            self.addCleanup(raw.transport.abortConnection)
        yield deferLater(cast(Any, reactor), 0.05, lambda: None)
        return made

    @inlineCallbacks
    def test_one_client_without_a_token_keeps_nobody_away(self) -> Any:
        """He has a few places, and loses the oldest one when he wants more."""
        made = yield self.crowd(250, 1)
        got = yield self.ask("GET", "/v1/export", **READER)
        self.assertEqual(got.status, 200)
        self.assertEqual(len([raw for raw in made if not raw.over.called]), STRANGERS_OF_ONE)
        self.assertEqual(self.site.counts.displaced, 250 - STRANGERS_OF_ONE)

    @inlineCallbacks
    def test_many_of_them_keep_nobody_away(self) -> Any:
        """From wherever they come."""
        made = yield self.crowd(2 * STRANGERS, 50)
        got = yield self.ask("GET", "/v1/export", **READER)
        self.assertEqual(got.status, 200)
        self.assertLessEqual(len([raw for raw in made if not raw.over.called]), STRANGERS)

    @inlineCallbacks
    def test_who_waits_for_a_change_keeps_the_place(self) -> Any:
        """Whoever comes meanwhile."""
        tag = (yield self.ask("GET", "/v1/export", **READER)).tag
        waiting = self.ask("GET", "/v1/export", if_none_match=tag, prefer="wait=50", **READER)
        yield self.crowd(250, 50)
        yield self.ask("PUT", "/v1/policies/p", {}, authorization=f"Bearer {WRITE_TOKEN}")
        self.assertEqual((yield waiting).status, 200)

    @inlineCallbacks
    def test_a_token_does_not_give_all_places_to_one(self) -> Any:
        """He is told to use fewer; others are served."""
        for number in range(KNOWN_OF_ONE):
            self.site.connections.know(number, "127.0.0.1")
        got = yield self.ask("GET", "/v1/export", **READER)
        self.assertEqual((got.status, got.headers.getRawHeaders("Retry-After")), (503, ["60"]))
        self.site.connections.leave(0)
        self.assertEqual((yield self.ask("GET", "/v1/export", **READER)).status, 200)


class HandshakeTests(SiteTestCase):
    """A port with TLS."""

    @inlineCallbacks
    def test_a_handshake_that_does_not_come_is_not_waited_for(self) -> Any:
        """The place is somebody else's then."""
        folder, clock = Path(self.mktemp()), Clock()
        folder.mkdir()
        options = tls_options(*Authority(folder).issue("localhost"))
        site = RepositorySite(root(self.documents), TOKENS, clock)
        port = cast(Any, reactor).listenSSL(0, site, options, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        endpoint = HostnameEndpoint(cast(Any, reactor), "127.0.0.1", port.getHost().port)
        raw = yield endpoint.connect(Factory.forProtocol(Raw))
        while not site.counts.accepted:
            yield deferLater(cast(Any, reactor), 0.01, lambda: None)
        clock.advance(HEAD_TIME)
        yield raw.over
        self.assertEqual(site.counts.late, 1)


class Endless(Resource):
    """A resource whose answer does not come."""

    isLeaf = True  # noqa: N815 - Twisted's name

    def render(self, request: object) -> int:
        """Says so."""
        del request
        return 1  # NOT_DONE_YET


class DeadlineTests(SynchronousTestCase):
    """Connections by the clock."""

    def setUp(self) -> None:
        """A site."""
        self.clock = Clock()
        self.site = RepositorySite(Endless(), TOKENS, self.clock)
        self.site.startFactory()
        self.addCleanup(self.site.stopFactory)

    def connect(self) -> tuple[Channel, StringTransport]:
        """A connection."""
        channel = cast(Any, self.site.buildProtocol(None))
        transport = StringTransport()
        channel.makeConnection(transport)
        return channel, transport

    def dribble(self, head: bytes, octets: bytes, most: float) -> float:
        """After how long a connection is closed on which, after a head, an octet comes each second."""
        channel, transport = self.connect()
        channel.dataReceived(head)
        seconds = 0
        while not transport.disconnected and seconds <= most:
            channel.dataReceived(octets[seconds % len(octets) :][:1])
            self.clock.advance(1.0)
            seconds += 1
        return float(seconds)

    def test_a_head_has_to_come_as_a_whole(self) -> None:
        """An octet now and then is not enough, nor a field now and then; nor is nothing at all."""
        self.assertEqual(self.dribble(b"", b"GET /v1/export HTTP/1.1", HEAD_TIME), HEAD_TIME)
        self.assertEqual(self.dribble(b"GET / HTTP/1.1\r\n", b"a: b\r\n", HEAD_TIME), HEAD_TIME)
        _, transport = self.connect()
        self.clock.advance(HEAD_TIME)
        self.assertTrue(transport.disconnected)

    def test_a_body_has_to_come_as_a_whole(self) -> None:
        """In chunks as well."""
        head = b"PUT / HTTP/1.1\r\nHost: x\r\n"
        self.assertEqual(self.dribble(head + b"Content-Length: 1000\r\n\r\n", b"x", BODY_TIME), BODY_TIME)
        self.assertEqual(
            self.dribble(head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", BODY_TIME), BODY_TIME
        )

    def test_an_import_has_longer_if_its_sender_may(self) -> None:
        """Else it is a body like others."""
        head = b"POST / HTTP/1.1\r\nContent-Type: application/jsonl\r\nContent-Length: 1000000\r\n"
        token = f"Authorization: Bearer {WRITE_TOKEN}\r\n\r\n".encode()
        self.assertEqual(self.dribble(head + token, b"x", IMPORT_TIME), IMPORT_TIME)
        self.assertEqual(self.dribble(head + b"\r\n", b"x", BODY_TIME), BODY_TIME)

    def test_an_import_is_kept_on_disk(self) -> None:
        """However it comes; what others send is short, and kept in memory."""
        token = f"Authorization: Bearer {WRITE_TOKEN}\r\n".encode()
        for length in (b"Content-Length: 1000000", b"Transfer-Encoding: chunked"):
            for kind, is_long in ((b"application/jsonl", True), (b"application/json", False)):
                channel, _ = self.connect()
                head = b"POST / HTTP/1.1\r\nContent-Type: " + kind + b"\r\n" + length + b"\r\n"
                channel.dataReceived(head + token + b"\r\n")
                content: object = cast(Any, channel.requests[0]).content
                self.assertIs(not isinstance(content, BytesIO), is_long, (length, kind))

    def test_fields_may_have_any_octets(self) -> None:
        """They are text of no known encoding (RFC 9110 section 5.5)."""
        for field in (b"Authorization: Bearer \xff", b"Content-Type: \xff", b'If-None-Match: "\xe9"'):
            channel, _ = self.connect()
            channel.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n" + field + b"\r\n\r\n")
            request = cast(Any, channel.requests[0])
            name, _, value = field.decode("latin-1").partition(": ")
            self.assertEqual((request.field(name), request.access), (value, Access.NOTHING))

    def test_what_takes_us_long_has_no_deadline(self) -> None:
        """Somebody may wait for a change."""
        channel, transport = self.connect()
        channel.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.clock.advance(10 * IDLE_TIME)
        self.assertFalse(transport.disconnected)

    def test_silence_between_requests_is_allowed_to_those_who_are_known(self) -> None:
        """For longer than to others."""
        for field, most in ((b"Authorization: Bearer " + READ_TOKEN.encode(), IDLE_TIME), (b"a: b", HEAD_TIME)):
            channel, transport = self.connect()
            channel.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n" + field + b"\r\n\r\n")
            channel.requests[0].finish()
            self.clock.advance(most - 1)
            self.assertFalse(transport.disconnected)
            self.clock.advance(1)
            self.assertTrue(transport.disconnected)

    def test_who_shows_another_token_is_a_stranger_again(self) -> None:
        """His place goes to others."""
        channel, _ = self.connect()
        request = b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n"
        channel.dataReceived(request % READ_TOKEN.encode())
        self.assertEqual((self.site.connections.known, self.site.connections.strangers), (1, 0))
        channel.requests[0].finish()
        channel.dataReceived(request % b"another-token-than-theirs")
        self.assertEqual((self.site.connections.known, self.site.connections.strangers), (0, 1))

    def test_places_are_given_back(self) -> None:
        """However a connection ends, and no timer stays."""
        for end in ("late", "lost"):
            channel, _ = self.connect()
            if end == "late":
                self.clock.advance(HEAD_TIME)
            channel.connectionLost(connectionDone)
        self.assertEqual(self.site.connections.strangers, 0)
        self.site.stopFactory()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_log_has_a_line_a_minute(self) -> None:
        """With how many there were."""
        events: list[Any] = []
        observer = cast(Any, events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        for _ in range(20):
            channel, _ = self.connect()
            self.clock.advance(HEAD_TIME)
            channel.connectionLost(connectionDone)
        told = [event["count"] for event in events if "was closed" in (event.get("log_format") or "")]
        self.assertEqual(told, [1, *[int(SILENCE / HEAD_TIME)] * 3])
