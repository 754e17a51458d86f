"""Servers for tests, and transports in memory, as Twisted's ports and connections look to our protocols."""

from __future__ import annotations

import socket
from typing import Any, cast

import dns.message
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IUDPTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import settings
from realmgw.dns.counts import Count
from realmgw.dns.port import DnsDatagrams, DnsStream
from realmgw.dns.server import ViewServer
from realmgw.dns.view import Answer, Asked, Senders, View
from realmgw.test.dns import realm
from realmgw.test.dns.allocator import MemoryAllocator

LIMITS = settings.DnsView(tcp_idle_timeout=10.0, tcp_connections=4, tcp_connections_per_client=3)


class MemoryDatagramPort:
    """A UDP port and its socket.

    Attributes:
        sent: View and where they went.
        broken: The kernel takes nothing.
        privileged: We have CAP_NET_ADMIN.
    """

    family = socket.AF_INET

    def __init__(self) -> None:
        """Nothing was sent; we may do everything."""
        self.privileged = True
        self.sent: list[tuple[bytes, tuple[Any, ...]]] = []
        self.options: dict[tuple[int, int], int] = {}
        self.broken = False
        self.maxThroughput = 0

    def getHandle(self) -> MemoryDatagramPort:
        """It is its own socket."""
        return self

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Notes it; SO_RCVBUFFORCE (33) needs a privilege."""
        if option == 33 and not self.privileged:
            raise PermissionError
        self.options[level, option] = value

    def sendto(self, octets: bytes, address: tuple[Any, ...]) -> None:
        """Notes it, or fails as sockets do."""
        if self.broken:
            raise OSError("no buffer space")
        self.sent.append((octets, address))

    def answers(self) -> list[dns.message.Message]:
        """What was sent, read."""
        return [dns.message.from_wire(octets) for octets, _ in self.sent]


class MemoryConnection(StringTransport):
    """A TCP connection; `end` ends it as the reactor would."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed in memory."""

    def answers(self) -> list[dns.message.Message]:
        """What was written, read."""
        octets, found = self.value(), []
        while octets:
            end = 2 + int.from_bytes(octets[:2], "big")
            found.append(dns.message.from_wire(octets[2:end]))
            octets = octets[end:]
        return found


def broken(asked: Asked) -> Answer:
    """A part of a view with a fault."""
    raise ZeroDivisionError(asked)


class RaisingSenders(Senders):
    """Whoever sends, no answer to him can be made."""

    def replies(self, asked: Asked, count: Count) -> tuple[tuple[int, bytes], ...]:
        """A fault."""
        raise ZeroDivisionError(asked, count)


def datagrams(server: ViewServer, clock: Clock) -> tuple[DnsDatagrams, MemoryDatagramPort]:
    """A bound UDP socket of a server."""
    protocol, port = DnsDatagrams(server, clock), MemoryDatagramPort()
    protocol.makeConnection(cast(IUDPTransport, port))
    return protocol, port


def connect(
    server: ViewServer, host: str = "198.51.100.53", port: int = 5353
) -> tuple[DnsStream, MemoryConnection] | None:
    """A connection that the server accepted; None if it did not."""
    peer = IPv4Address("TCP", host, port)
    stream = server.buildProtocol(peer)
    if stream is None:
        return None
    connection = MemoryConnection(peerAddress=peer)
    stream.makeConnection(connection)
    return stream, connection


def end(stream: DnsStream, why: Exception | None = None) -> None:
    """The connection is gone."""
    stream.connectionLost(Failure(why or ConnectionDone()))


def query(name: str = "one.example.org.", kind: str = "A", **options: Any) -> bytes:
    """A query."""
    return bytes(dns.message.make_query(name, kind, **options).to_wire())


def framed(*messages: bytes) -> bytes:
    """Messages with their lengths, as TCP has them."""
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


class ServerTestCase(SynchronousTestCase):
    """The WAN's server, its allocator and its clock."""

    def setUp(self) -> None:
        """Nobody is connected."""
        self.clock = Clock()
        self.allocator = MemoryAllocator(realm.POOL_ADDRESS.packed)
        self.server = self.make_server(realm.wan(self.allocator))
        self.events = self.server.view.counts.events

    def make_server(self, view: View) -> ViewServer:
        """A server of a view."""
        return ViewServer(view, LIMITS, self.clock, self.clock.seconds)

    def connect(self, host: str = "198.51.100.53") -> tuple[DnsStream, MemoryConnection]:
        """A connection that must be accepted."""
        connected = connect(self.server, host)
        assert connected is not None
        return connected
