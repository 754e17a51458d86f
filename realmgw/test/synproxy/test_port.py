"""The connection to a SYN proxy, on the loopback interface: by TCP, by TLS, and again."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's protocols have no types.)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor, ssl
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from realmgw.config.addresses import address
from realmgw.config.settings import Peer
from realmgw.subscribers.model import Terms
from realmgw.synproxy.link import Link, State
from realmgw.synproxy.port import Connecting
from realmgw.synproxy.table import Table
from realmgw.system.endpoints import Endpoint
from realmgw.system.trust import trust
from realmgw.test.subscribers.authority import Authority
from realmgw.test.synproxy.peer import MemoryProxy
from realmgw.test.synproxy.test_table import HTTP, POOL, settings

HOST, NAME = "127.0.0.1", "proxy.example.org"
SOON = 0.02  # seconds


class Answering(Protocol):
    """A proxy's side of a connection."""

    def __init__(self, site: Site) -> None:
        self.site, self.proxy = site, MemoryProxy(table=site.table)

    def connectionMade(self) -> None:
        """One more."""
        self.site.connections.append(self)

    def dataReceived(self, data: bytes) -> None:
        """Requests, which it answers in its own way."""
        self.site.answer(self, self.proxy.receive(data))


class Site(Factory):
    """A proxy.

    Attributes:
        connections: All that there were.
        answer: Sends what is to be answered, or does something else.
    """

    noisy = False

    def __init__(self) -> None:
        self.table: dict[Any, Any] = {}
        self.connections: list[Answering] = []
        self.answer: Callable[[Answering, bytes], object] = say

    def buildProtocol(self, addr: object) -> Answering:
        """A connection."""
        del addr
        return Answering(self)


def say(to: Answering, octets: bytes) -> None:
    """Answers."""
    assert to.transport is not None
    to.transport.write(octets)


def say_one_and_close(to: Answering, octets: bytes) -> None:
    """Answers a single request."""
    say(to, octets[:2])
    assert to.transport is not None
    to.transport.loseConnection()


class PortTestCase(TestCase):
    """A proxy, and who keeps it connected."""

    timeout = 30

    def setUp(self) -> None:
        """Nobody listens yet."""
        self.real: Any = reactor
        self.site = Site()
        self.table = Table(settings())

    def listen(self, options: Any = None) -> int:
        """The proxy listens, by TLS where there are options; returns its port."""
        listening = (
            self.real.listenTCP(0, self.site, interface=HOST)
            if options is None
            else self.real.listenSSL(0, self.site, options, interface=HOST)
        )
        self.addCleanup(listening.stopListening)
        port: int = listening.getHost().port
        return port

    def connect(self, port: int, name: str | None = None, trusted: Any = None) -> Link:
        """Begin to connect."""
        peer = Peer(Endpoint(address(HOST), port), name)
        self.link = Link(self.table, peer.text, now=self.real.seconds())
        self.connecting = Connecting(peer, self.link, SOON, trusted, reactor)
        self.addCleanup(self.connecting.stop)
        self.connecting.start()
        return self.link

    async def until(self, holds: Callable[[], object]) -> None:
        """Let the world go on until something holds; the test's own time limit ends it."""
        while not holds():
            turn: Deferred[None] = Deferred()
            self.real.callLater(0, turn.callback, None)
            await turn

    def change(self, terms: Terms | None) -> None:
        """Something is reserved, or ends."""
        self.link.change(self.table.note({(POOL, HTTP): terms}), now=self.real.seconds())
        self.connecting.work()

    def is_in_step(self) -> bool:
        """Whether everything is told and answered."""
        return self.link.state is State.IN_STEP


class TcpTests(PortTestCase):
    """By TCP."""

    async def test_is_told_and_in_step(self) -> None:
        """And is told what changes then."""
        self.connect(self.listen())
        await self.until(self.is_in_step)
        self.assertEqual(len(self.site.table), 4)
        self.change(Terms())
        await self.until(lambda: self.link.counts.done == 6)
        self.assertEqual(len(self.site.table), 5)

    async def test_a_whole_pool_is_told(self) -> None:
        """More than may be unanswered at once, or fits into the buffers of a connection."""
        self.table.configure(settings(pool="100.64.0.0/18"))
        self.connect(self.listen())
        await self.until(self.is_in_step)
        self.assertEqual(len(self.site.table), 2**14 + 2)

    async def test_one_that_goes_is_told_everything_when_it_is_back(self) -> None:
        """For ever; it may be away when we begin."""
        port = self.listen()
        self.connect(port)
        for number in range(1, 4):
            await self.until(self.is_in_step)
            self.assertEqual(self.link.counts.connected, number)
            self.site.table = {}
            connection: Any = self.site.connections[-1].transport
            connection.abortConnection()
            await self.until(lambda: self.link.state is State.DOWN)
        await self.until(self.is_in_step)
        self.assertEqual(len(self.site.table), 4)

    async def test_one_that_closes_after_each_message_is_tried_again(self) -> None:
        """It is never in step, and it is said why."""
        self.site.answer = say_one_and_close
        self.connect(self.listen())
        await self.until(lambda: self.link.counts.connected > 3)
        self.assertIsNot(self.link.state, State.IN_STEP)
        self.assertIn("closed", self.link.error)
        self.site.answer = say
        await self.until(self.is_in_step)

    async def test_one_that_says_something_else_is_left(self) -> None:
        """As one that does not speak the protocol, or answers what nobody asked for."""
        self.site.answer = lambda to, octets: say(to, b"SSH-2.0-example\r\n")
        self.connect(self.listen())
        await self.until(lambda: self.link.counts.malformed > 1)
        self.assertIn("neither 1 nor 0", self.link.error)
        self.site.answer = lambda to, octets: say(to, octets + b"1\n")
        await self.until(lambda: "nobody asked for" in self.link.error)

    async def test_nobody_is_there(self) -> None:
        """It is said why, and tried again."""
        unused = self.real.listenTCP(0, self.site, interface=HOST)
        port = unused.getHost().port
        await unused.stopListening()
        self.connect(port)
        await self.until(lambda: self.link.error)
        self.assertIn("refused", self.link.error)
        listening = self.real.listenTCP(port, self.site, interface=HOST)
        self.addCleanup(listening.stopListening)
        await self.until(self.is_in_step)

    async def test_stops_though_the_proxy_reads_nothing(self) -> None:
        """What was to be sent is not; nobody waits for that."""
        self.table.configure(settings(pool="100.64.0.0/16"))
        self.patch(self.link_module(), "MOST_OUTSTANDING", 2**20)
        self.connect(self.listen())
        await self.until(lambda: self.site.connections)
        connection: Any = self.site.connections[0].transport
        connection.pauseProducing()
        await self.until(lambda: self.link.paused or self.link.counts.sent > 2**16)
        await self.connecting.stop()
        self.assertIs(self.link.state, State.DOWN)

    @staticmethod
    def link_module() -> Any:
        """Where the bounds are."""
        from realmgw.synproxy import link  # noqa: PLC0415 - to be patched

        return link


class TlsTests(PortTestCase):
    """By TLS."""

    def setUp(self) -> None:
        """There is an authority."""
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.authority = Authority(folder)

    def serve(self, name: str = NAME, **certificate: Any) -> int:
        """A proxy with such a certificate."""
        public, private = self.authority.issue(name, **certificate)
        return self.listen(ssl.DefaultOpenSSLContextFactory(str(private), str(public)))

    async def test_what_is_certified_is_told(self) -> None:
        """Everything."""
        self.connect(self.serve(), NAME, trust(self.authority.path))
        await self.until(self.is_in_step)
        self.assertEqual(len(self.site.table), 4)

    async def test_certificates_that_are_believed_from_now_on_count_at_the_next_connection(self) -> None:
        """Those before not any more; the connection that there is stays."""
        folder = Path(self.mktemp())
        folder.mkdir()
        other = trust(Authority(folder).path)
        self.connect(self.serve(), NAME, other)
        await self.until(lambda: self.link.error)
        self.assertIn("TLS: ", self.link.error)
        self.connecting.believe(trust(self.authority.path))
        await self.until(self.is_in_step)
        self.connecting.believe(other)
        await self.until(self.is_in_step)
        connection: Any = self.site.connections[-1].transport
        connection.abortConnection()
        await self.until(lambda: "TLS: " in self.link.error)
        self.assertEqual(self.link.counts.connected, 1)

    async def test_nothing_is_said_to_others(self) -> None:
        """A certificate for another name, an expired one, a self-signed one; nor to one that speaks no TLS."""
        for port in (
            self.serve("other.example.org"), self.serve(expired=True), self.serve(self_signed=True),
        ):  # fmt: skip
            self.connect(port, NAME, trust(self.authority.path))
            await self.until(lambda: self.link.error)
            await self.connecting.stop()
            self.assertIn("TLS: ", self.link.error)
            self.assertEqual((self.link.counts.connected, self.site.table), (0, {}))
