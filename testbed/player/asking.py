"""How clients and resolvers of the traffic programs resolve a name.

Again when no answer comes, and by whatever way the server wants: with its cookie (RFC 7873), by TCP after TC, by the
alias that a CNAME names.

::

    asker = Asker("100.64.1.130", source="100.64.3.20")
    resolution = await asker.resolve("test.gwa.demo.", timeouts=(1.0, 1.0))
    print(resolution.address, resolution.steps)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address

import attrs
import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from testbed.player.template import Option
from testbed.realm.topology import GATEWAY

BADCOOKIE = 23
"""The response code of RFC 7873 section 8."""
ECI, NCID = dns.edns.OptionType.make(0xFF01), dns.edns.OptionType.make(0xFF02)
"""Codes of the options that RFCs know nothing of."""
CHAIN = 8
"""So many aliases are followed."""
IP_BIND_ADDRESS_NO_PORT = 24
"""Of linux/in.h; Python has no name for it before 3.12."""


class UnresolvedError(Exception):
    """A name was answered, but not by an address; the text says how."""


@attrs.frozen
class Resolution:
    """A name that was resolved."""

    address: str
    """What it is."""
    steps: tuple[str, ...]
    """What it took, in order: `udp`, `tcp`, `cookie`, `alias`."""
    attempts: int
    """How often it was begun."""


@attrs.frozen
class Origin:
    """What a resolver says of itself and of its client."""

    options: tuple[Option, ...] = ()
    """Which EDNS options it sends."""
    client: str = ""
    """The client's address, for those that name it."""

    def edns(self) -> list[dns.edns.Option]:
        """The options, but for the cookie."""
        made: list[dns.edns.Option] = []
        address = IPv4Address(self.client or "0.0.0.0")
        for option in self.options:
            if option is Option.ECS:
                made.append(dns.edns.ECSOption(str(IPv4Address(int(address) & 0xFFFFFF00)), 24))
            elif option is Option.ECI:
                information = struct.pack("!H4sHH", 1, address.packed, socket.IPPROTO_UDP, random.randrange(1 << 16))
                made.append(dns.edns.GenericOption(ECI, information))
            elif option is Option.NCID:
                made.append(dns.edns.GenericOption(NCID, address.packed))
            elif option is Option.NSID:
                made.append(dns.edns.GenericOption(dns.edns.OptionType.NSID, b""))
        return made


class Asker:
    """Asks one server from one address."""

    def __init__(self, server: str, port: int = 53, *, source: str = "", tcp: bool = False) -> None:
        """Knows nothing yet of the server.

        Args:
            server: Its address.
            port: Its port.
            source: Where we ask from; empty: the usual address.
            tcp: Whether to ask by TCP at once.
        """
        self._server = (server, port)
        self._source = source
        self._tcp = tcp
        self._recursive = server != GATEWAY  # a resolver is asked for all of it, an authority for what it has
        self._client_cookie = os.urandom(8)
        self._server_cookie = b""

    async def resolve(self, name: str, *, timeouts: Sequence[float], origin: Origin = Origin()) -> Resolution:
        """Resolves a name to its first address.

        Args:
            name: Which.
            timeouts: How long each try may take, in seconds.
            origin: What we say of ourselves.

        Raises:
            TimeoutError: No try had an answer in its time.
            UnresolvedError: An answer, but no address.
            OSError: The network says that nobody is there.
        """
        for attempt, timeout in enumerate(timeouts, 1):
            steps: list[str] = []
            with contextlib.suppress(asyncio.TimeoutError):
                address = await asyncio.wait_for(self._once(name, origin, steps), timeout)
                return Resolution(address, tuple(steps), attempt)
        raise TimeoutError(f"{name}: no answer from {self._server[0]}")

    async def _once(self, name: str, origin: Origin, steps: list[str]) -> str:
        """One try, with all the ways that the server sends us."""
        tcp = self._tcp
        for _ in range(CHAIN):
            reply = await self._ask(name, origin, tcp, steps)
            if reply.rcode() == BADCOOKIE and not steps.count("cookie"):
                steps.append("cookie")
                continue
            if reply.flags & dns.flags.TC and not tcp:
                tcp = True
                continue
            if reply.rcode() != dns.rcode.NOERROR:
                raise UnresolvedError(dns.rcode.to_text(reply.rcode()))
            address, target = _found(reply)
            if address:
                return address
            if not target or self._recursive:  # a stub leaves aliases to its resolver
                raise UnresolvedError("no address")
            steps.append("alias")
            name, tcp = target, self._tcp
        raise UnresolvedError("too many aliases")

    async def _ask(self, name: str, origin: Origin, tcp: bool, steps: list[str]) -> dns.message.Message:
        """One question and its answer."""
        query = self._query(name, origin)
        steps.append("tcp" if tcp else "udp")
        octets = await (self._by_tcp if tcp else self._by_udp)(query.to_wire())
        reply = dns.message.from_wire(octets)
        for option in reply.options if Option.COOKIE in origin.options else ():
            if option.otype == dns.edns.OptionType.COOKIE:
                self._server_cookie = option.to_wire()[8:]
        return reply

    def _query(self, name: str, origin: Origin) -> dns.message.Message:
        options = origin.edns()
        if Option.COOKIE in origin.options:
            cookie = self._client_cookie + self._server_cookie
            options.append(dns.edns.GenericOption(dns.edns.OptionType.COOKIE, cookie))
        query = dns.message.make_query(name, "A", use_edns=0 if origin.options else -1, options=options)
        query.flags = dns.flags.Flag(dns.flags.RD if self._recursive else 0)
        return query

    async def _by_udp(self, query: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        with bound(socket.SOCK_DGRAM, self._source) as asking:
            asking.connect(self._server)
            await loop.sock_sendall(asking, query)
            while True:
                reply = await loop.sock_recv(asking, 65535)
                if reply[:2] == query[:2]:
                    return reply

    async def _by_tcp(self, query: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        with bound(socket.SOCK_STREAM, self._source) as asking:
            asking.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(asking, self._server)
            await loop.sock_sendall(asking, len(query).to_bytes(2, "big") + query)
            octets = b""
            while len(octets) < 2 or len(octets) < 2 + int.from_bytes(octets[:2], "big"):
                more = await loop.sock_recv(asking, 65535)
                if not more:
                    raise ConnectionError(f"{self._server[0]} broke off")
                octets += more
        return octets[2:]


def bound(kind: int, source: str, port: int = 0) -> socket.socket:
    """A non-blocking socket with an address of its own; TCP ports are given out only at the connection.

    Args:
        kind: `SOCK_STREAM` or `SOCK_DGRAM`.
        source: Its address; empty: the usual one.
        port: Its port; 0: any.
    """
    made = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
    if source or port:
        if not port:
            made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        made.bind((source, port))
    return made


def _found(reply: dns.message.Message) -> tuple[str, str]:
    """The first address in an answer, else the name that its last alias leads to, else nothing."""
    target = ""
    for rrset in reply.answer:
        if rrset.rdtype == dns.rdatatype.A:
            return rrset[0].address, ""
        if rrset.rdtype == dns.rdatatype.CNAME:
            target = rrset[0].target.to_text()
    return "", target
