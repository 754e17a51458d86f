"""Tests for `realmgw.dns.forward.stream`: connections to resolvers, on the loopback interface."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's protocols have no types.)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from OpenSSL import crypto
from twisted.internet import reactor, ssl
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from realmgw.config.addresses import address
from realmgw.config.settings import Resolver
from realmgw.dns.forward.stream import MOST_OUTSTANDING, Streams, _pin, _Stream
from realmgw.system.endpoints import Endpoint
from realmgw.system.trust import trust
from realmgw.test.subscribers.authority import Authority

HOST, NAME = "127.0.0.1", "dns.example.net"


class Answering(Int16StringReceiver):
    """A resolver's side of a connection: keeps what it is asked, and answers what it is told to."""

    factory: Site

    def connectionMade(self) -> None:
        """One more."""
        self.factory.connections.append(self)

    def close(self) -> None:
        """Ends it."""
        assert self.transport is not None
        self.transport.loseConnection()

    def stringReceived(self, string: bytes) -> None:
        """Keeps it, and answers in its own way."""
        self.factory.asked.append(string)
        self.factory.answer(self, string)


class Site(ServerFactory):
    """A resolver."""

    noisy = False

    def buildProtocol(self, addr: object) -> Answering:  # type: ignore[override]  # Twisted has a type of its own for it
        """A connection."""
        del addr
        connection = Answering()
        connection.factory = self
        return connection

    def __init__(self) -> None:
        self.connections: list[Answering] = []
        self.asked: list[bytes] = []
        self.answer: Callable[[Answering, bytes], object] = lambda to, message: to.sendString(message)


@attrs.define(eq=False)
class Said:
    """What became of a query."""

    done: Deferred[tuple[str, bytes | str]] = attrs.field(factory=Deferred)
    """Fires with `heard` or `failed`, and what."""

    def heard(self, message: bytes) -> None:
        """An answer."""
        self.done.callback(("heard", message))

    def failed(self, why: str) -> None:
        """None."""
        self.done.callback(("failed", why))


class StreamTestCase(TestCase):
    """A resolver, and connections to it."""

    timeout = 30

    def setUp(self) -> None:
        """Nothing is connected."""
        self.streams = Streams(reactor)
        self.site = Site()
        self.addCleanup(self.streams.abort)

    def listen(self, name: str | None = None, options: Any = None) -> Resolver:
        """It listens, by TLS where there are options."""
        real: Any = reactor
        port = (
            real.listenTCP(0, self.site, interface=HOST)
            if options is None
            else real.listenSSL(0, self.site, options, interface=HOST)
        )
        self.addCleanup(port.stopListening)
        return Resolver(Endpoint(address(HOST), port.getHost().port), name)

    def ask(self, resolver: Resolver, message: bytes = b"\0\1question") -> Deferred[tuple[str, bytes | str]]:
        """Asks."""
        said = Said()
        self.streams.ask(resolver, message, said.heard, said.failed)
        return said.done


class TcpTests(StreamTestCase):
    """By TCP."""

    async def test_one_connection_for_all_and_answers_in_any_order(self) -> None:
        """Each with the ID that it was asked by."""
        resolver = self.listen()
        kept: list[bytes] = []

        def answer(to: Answering, message: bytes) -> None:
            kept.append(message)
            if len(kept) == 3:
                for each in reversed(kept):
                    to.sendString(each)

        self.site.answer = answer
        waiting = [self.ask(resolver, b"\7\7question" + bytes((number,))) for number in range(3)]
        for number, each in enumerate(waiting):
            self.assertEqual(await each, ("heard", b"\7\7question" + bytes((number,))))
        self.assertEqual((len(self.site.connections), len({each[:2] for each in kept})), (1, 3))

    async def test_nobody_is_there(self) -> None:
        """It is told."""
        resolver = Resolver(Endpoint(address(HOST), 1))
        outcome, why = await self.ask(resolver)
        self.assertEqual(outcome, "failed")
        self.assertIn("refused", str(why))

    async def test_the_connection_ends(self) -> None:
        """Who waits is told, and the next one has another connection."""
        resolver = self.listen()
        self.site.answer = lambda to, _: to.close()
        self.assertEqual((await self.ask(resolver))[0], "failed")
        self.site.answer = lambda to, message: to.sendString(message)
        self.assertEqual((await self.ask(resolver))[0], "heard")
        self.assertEqual(len(self.site.connections), 2)

    async def test_an_answer_to_nothing_ends_it(self) -> None:
        """One that is too short, too."""
        resolver = self.listen()
        for wrong in (b"\xee\xee?", b"", b"\0"):
            self.site.answer = lambda to, _, wrong=wrong: to.sendString(wrong)  # type: ignore[misc]  # bound
            outcome, why = await self.ask(resolver)
            self.assertEqual((outcome, why), ("failed", "an answer to nothing that was asked"))

    async def test_who_does_not_wait_hears_nothing(self) -> None:
        """And others do."""
        resolver = self.listen()
        said = Said()
        self.streams.ask(resolver, b"\0\1a", said.heard, said.failed)()
        self.assertEqual(await self.ask(resolver, b"\0\2b"), ("heard", b"\0\2b"))
        self.assertFalse(said.done.called)


class DeadTests(SynchronousTestCase):
    """A connection to somebody who is not there any more, which TCP finds out much later."""

    def test_is_given_up_however_much_is_asked(self) -> None:
        """Ten seconds after something was answered last."""
        clock, gone = Clock(), list[_Stream]()
        stream, transport = _Stream(clock, Resolver(Endpoint(address(HOST), 53)), (), gone.append), _Wire()
        stream.makeConnection(transport)
        answered, dead = Said(), [Said() for _ in range(2)]
        stream.ask((b"\0\1question", answered.heard, answered.failed))
        clock.advance(9)
        stream.dataReceived(b"\0\5\0\0yes")
        for each in dead:
            self.assertEqual(gone, [])
            stream.ask((b"\0\1question", each.heard, each.failed))
            clock.advance(5)
        self.assertTrue(transport.disconnected)
        stream.connectionLost(Failure(ConnectionDone()))
        told = [self.successResultOf(each.done) for each in (answered, *dead)]
        self.assertEqual(told, [("heard", b"\0\1yes"), *[("failed", "no answer in time")] * 2])

    def test_leaves_out_some_answers(self) -> None:
        """When it is full of those, there will be another connection."""
        stream, transport = _Stream(Clock(), Resolver(Endpoint(address(HOST), 53)), (), lambda _: None), _Wire()
        stream.makeConnection(transport)
        said = Said()
        for _ in range(MOST_OUTSTANDING // 2):
            stream.ask((b"\0\1a", said.heard, said.failed))()
        for _ in range(MOST_OUTSTANDING // 2):
            forget = stream.ask((b"\0\1a", said.heard, said.failed))
        for is_closed in (False, True):
            self.assertRaises(OSError, stream.ask, (b"\0\1a", said.heard, said.failed))
            self.assertEqual((stream.is_closing, transport.disconnected), (is_closed, is_closed))
            forget()


class _Wire(StringTransport):
    """Leads nowhere."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Makes no difference."""


class TlsTests(StreamTestCase):
    """By TLS."""

    def setUp(self) -> None:
        """There is an authority."""
        super().setUp()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.authority = Authority(self.folder)
        self.streams.configure(trust(self.authority.path), ())

    def serve(self, **certificate: Any) -> Resolver:
        """A resolver with such a certificate."""
        self.paths = self.authority.issue(certificate.pop("name", NAME), **certificate)
        return self.listen(NAME, ssl.DefaultOpenSSLContextFactory(str(self.paths[1]), str(self.paths[0])))

    async def assert_refused(self, resolver: Resolver, why: str) -> None:
        """Nothing is said to it, and it is told why."""
        self.assertEqual(await self.ask(resolver), ("failed", why))
        self.assertEqual(self.site.asked, [])

    async def test_what_is_certified_is_asked(self) -> None:
        """By one connection."""
        resolver = self.serve()
        for _ in range(2):
            self.assertEqual((await self.ask(resolver))[0], "heard")
        self.assertEqual(len(self.site.connections), 1)

    async def test_a_certificate_for_another_name(self) -> None:
        """RFC 8310 section 8.1."""
        await self.assert_refused(self.serve(name="other.example.net"), f"its certificate is not for {NAME}")

    async def test_an_expired_certificate(self) -> None:
        """Be it for the right name."""
        await self.assert_refused(self.serve(expired=True), "its certificate has expired")

    async def test_a_self_signed_certificate(self) -> None:
        """Nobody knows whose it is."""
        await self.assert_refused(self.serve(self_signed=True), "its certificate is self-signed")

    async def test_an_unknown_authority(self) -> None:
        """Of the system's, none signed it."""
        self.streams.configure(trust(None), ())
        await self.assert_refused(self.serve(), "its certificate is signed by nobody who is believed")

    async def test_pins(self) -> None:
        """The key must be one of them, and the certificate good as well."""
        resolver = self.serve()
        self.streams.configure(trust(self.authority.path), ("A" * 43 + "=",))
        await self.assert_refused(resolver, "its public key is none of those that are pinned")
        certificate = crypto.load_certificate(crypto.FILETYPE_PEM, self.paths[0].read_bytes())
        self.streams.configure(trust(self.authority.path), ("A" * 43 + "=", _pin(certificate)))
        self.assertEqual((await self.ask(resolver))[0], "heard")
