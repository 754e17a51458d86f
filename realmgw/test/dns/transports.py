"""Transports in memory, as Twisted's ports and connections look to our protocols."""

from __future__ import annotations

import socket
from typing import Any, cast

import dns.message
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IUDPTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from realmgw.dns.port import DnsDatagrams, DnsStream
from realmgw.dns.server import Face


class MemoryDatagramPort:
    """A UDP port and its socket.

    Attributes:
        sent: Answers and where they went.
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


def datagrams(face: Face, clock: Clock) -> tuple[DnsDatagrams, MemoryDatagramPort]:
    """A bound UDP socket of a face."""
    protocol, port = DnsDatagrams(face, clock), MemoryDatagramPort()
    protocol.makeConnection(cast(IUDPTransport, port))
    return protocol, port


def connect(face: Face, host: str = "198.51.100.53", port: int = 5353) -> tuple[DnsStream, MemoryConnection] | None:
    """A connection that the face accepted; None if it did not."""
    peer = IPv4Address("TCP", host, port)
    stream = face.buildProtocol(peer)
    if stream is None:
        return None
    connection = MemoryConnection(peerAddress=peer)
    stream.makeConnection(connection)
    return stream, connection


def end(stream: DnsStream, why: Exception) -> None:
    """The connection is gone."""
    stream.connectionLost(Failure(why))
