"""The client against our own SYN proxy node: its real server and table, on the loopback interface."""

# mypy: disable-error-code="no-untyped-call"
# (Twisted's protocols have no types.)

from __future__ import annotations

from realmgw.subscribers.model import Terms
from realmgw.synnode.entries import Entries
from realmgw.synnode.server import ControlServer
from realmgw.synproxy.codec import TCP, TcpOptions
from realmgw.synproxy.table import DEFAULT, Table
from realmgw.test.synproxy.test_port import HOST, PortTestCase
from realmgw.test.synproxy.test_table import FRESH, FULL, HTTP, POOL, settings

MANY = 3000


class NodeTests(PortTestCase):
    """A node's server, without a kernel."""

    def setUp(self) -> None:
        """It listens, and takes both families."""
        super().setUp()
        self.table = Table(settings(service="2001:db8::80"))
        self.entries = Entries(100_000)
        self.server = ControlServer(self.entries, lambda: None, lambda address: address == HOST, 8, self.real)
        self.port = self.real.listenTCP(0, self.server, interface=HOST)
        self.addCleanup(self.port.stopListening)

    def shown(self) -> dict[str, TcpOptions]:
        """The node's table."""
        return {str(entry.key): entry.options for entry in self.entries}

    def note(self, packed: bytes, key: int, terms: Terms | None) -> None:
        """Something is reserved, or ends."""
        self.link.change(self.table.note({(packed, key): terms}), now=self.real.seconds())

    async def settle(self) -> None:
        """Until all is told and answered."""
        self.connecting.work()
        await self.until(lambda: self.is_in_step() and not (self.link.outstanding or self.link.waiting))

    async def test_has_what_it_shall_have(self) -> None:
        """At first, and after each change."""
        self.connect(self.port.getHost().port)
        await self.settle()
        lasting = {
            "0.0.0.0 any any": DEFAULT, ":: any any": DEFAULT, "198.51.100.0 any any": FULL,
            "198.51.100.1 any any": FULL, "2001:db8::80 any any": FULL,
        }  # fmt: skip
        self.assertEqual(self.shown(), lasting)
        own = TcpOptions(1380, True, 7)
        for packed, key, name in (
            (POOL, HTTP, "198.51.100.1 tcp 80"), (POOL, TCP << 16, "198.51.100.1 tcp any"),
            (POOL, 80, "198.51.100.1 any 80"), (POOL, 0, "198.51.100.1 any any"), (FRESH, HTTP, "2001:db8:1::1 tcp 80"),
        ):  # fmt: skip
            self.note(packed, key, Terms(tcp_mss=1380))
            await self.settle()
            self.assertEqual(self.shown(), {**lasting, name: own})
            self.note(packed, key, None)
            await self.settle()
            self.assertEqual(self.shown(), lasting)
        self.assertEqual((self.link.counts.refused, self.link.counts.resynchronised), (0, 1))

    async def test_a_burst_is_told_in_order(self) -> None:
        """Begun, ended and begun again, while the answers are on their way."""
        self.connect(self.port.getHost().port)
        await self.settle()
        for number in range(MANY):
            packed = (0x0A000000 + number).to_bytes(4, "big")
            self.note(packed, HTTP, Terms())
            if not number % 3:
                self.connecting.work()
                self.note(packed, HTTP, None)
        await self.settle()
        self.assertEqual(len(self.entries), 5 + MANY - MANY // 3)
        self.assertEqual(self.link.counts.refused, 0)

    async def test_what_a_former_gateway_has_left_is_gone(self) -> None:
        """As is what was reserved before the connection ended."""
        self.connect(self.port.getHost().port)
        self.note(FRESH, HTTP, Terms())
        await self.settle()
        self.note(FRESH, HTTP, None)
        self.server.close()
        await self.until(lambda: self.link.counts.connected > 1)
        await self.settle()
        self.assertEqual(len(self.entries), 5)
