"""Which packets are those of a name, a host or a flow, and what is said of each: pure.

The gateway tells of flows (conntrack's), of both sides of the translation. What no flow came of, and what came before
its flow was told, is known by the addresses that DNS has answered meanwhile, and by the host's own.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import count
from typing import Any, Generic, TypeVar

import attrs

from realmgw.config import protocols
from realmgw.control.command.shown import ENDS, Answer, end_of
from realmgw.datapath.capture.frames import Seen
from realmgw.dns.codec import names
from realmgw.dns.codec.wire import QR
from realmgw.dns.forward import answers
from realmgw.errors import MalformedError
from realmgw.subscribers.entry import shown

DNS = 53
STANDS = 30 * 10**9  # nanoseconds
"""So long after an answer packets to its address are those of its name."""
MOST = 100_000
"""So many flows and addresses are known, usually."""
_HEADER, _TYPE_AND_CLASS = 12, 4  # octets of DNS
_ADDRESSES = (1, 28)  # A, AAAA

End = tuple[bytes, int]
"""Packed address and port; 0: there is none."""
T = TypeVar("T")


@attrs.frozen
class Service:
    """A name, and what is reached by it."""

    name: str
    """With the final dot."""
    protocol: int
    """0: every one."""
    port: int
    """0: every one."""
    is_proxied: bool = False
    """Its address is that of all names that the web proxy serves."""

    def meets(self, protocol: int, port: int) -> bool:
        """Whether packets to that port are for it."""
        return self.protocol in (0, protocol) and self.port in (0, port)


@attrs.frozen
class Wanted:
    """What is meant: a host, with all of its names or with one; or a flow."""

    addresses: frozenset[bytes] = frozenset()
    """The host's own, packed; none: a flow is meant."""
    services: tuple[Service, ...] = ()
    """Those that are meant."""
    is_whole: bool = True
    """Whatever the host sends and receives is meant, and not only what comes by its names."""
    ends: tuple[End, End] | None = None
    """Of the flow: the client, and where it comes to, on either side of the translation."""


class Selection:
    """Decides about packets, in the order in which they came.

    Args:
        wanted: What is meant.
        most: So many flows, and so many addresses, are known; the oldest ones make room.
    """

    def __init__(self, wanted: Wanted, most: int = MOST) -> None:
        self._wanted = wanted
        self._most = most
        self._names = {names.to_wire(each.name): each for each in wanted.services}
        self._flows: dict[tuple[int, frozenset[End]], str] = {}
        self._told: dict[bytes, tuple[int, Service]] = {}

    def hear(self, row: Answer) -> None:
        """The gateway tells of a flow, as `flows/list` and `flows/watch` do, or of something else."""
        if "client" not in row:
            return
        text, client = self._text(row), _end(row["client"], row["client_port"])
        inside, outside = _end(row["address"], row["port"]), _end(row["via"], row["via_port"])
        ways = [frozenset((client, end)) for end in (inside, outside) if end is not None and client is not None]
        if self._wanted.ends is not None and frozenset(self._wanted.ends) not in ways:
            return
        for way in ways:
            self._keep(self._flows, (protocols.PROTOCOLS.get(row["protocol"]) or int(row["protocol"]), way), text)

    def comment(self, seen: Seen, now: int) -> str | None:
        """What is said of a packet; None: it is not meant.

        Args:
            seen: It.
            now: When it came, in nanoseconds.
        """
        headers = seen.headers
        one, other = (headers.source, headers.sport or 0), (headers.destination, headers.dport or 0)
        flow = self._flows.get((headers.protocol, frozenset((one, other))))
        if flow is not None:
            return flow or None
        if seen.about is not None and (said := self.comment(seen.about, now)) is not None:
            return f"about: {said}"
        if self._wanted.ends is not None:
            return "no flow is known" if {one, other} == set(self._wanted.ends) else None
        if DNS in (headers.sport, headers.dport) and (said := self._asked(seen.payload, now)):
            return said
        return next(filter(None, (self._to(each, headers.protocol, now) for each in (other, one))), None)

    def _text(self, row: Answer) -> str:
        """What is said of a flow's packets; empty: it is none of those that are meant."""
        service = row["service"]
        if not self._wanted.is_whole and service not in {each.name for each in self._wanted.services}:
            return ""
        address, via, client = (end_of(row[end], row[port]) for end, port in ENDS)
        by = f", by name {service}" if service else ""
        trace = f", trace id {row['trace_id']}" if row["trace_id"] else ""
        way = f"{row['protocol']} client {client} via {via} to {address}{trace}"
        return f"{row['host'] or 'no subscriber'}{by}: {'admitted' if row['direction'] == 'in' else 'going out'}, {way}"

    def _asked(self, payload: bytes, now: int) -> str | None:
        """What is said of a message of DNS about one of the names; addresses in its answer are theirs from now on."""
        for begin in (0, 2):  # by TCP its length is before it
            message = payload[begin:]
            try:
                name, after = names.read(message, _HEADER)
            except MalformedError:
                continue
            service = self._names.get(name.lower())
            if service is None:
                continue
            if not message[2] & QR >> 8:
                return f"question for {service.name}"
            return f"answer for {service.name}: {self._answered(message, after, service, now)}"
        return None

    def _answered(self, message: bytes, after: int, service: Service, now: int) -> str:
        try:
            reply = answers.read(message, message[_HEADER : after + _TYPE_AND_CLASS])
        except MalformedError:
            return "no address"
        for each in reply.answers:
            if each.type in _ADDRESSES and not service.is_proxied:
                self._keep(self._told, each.rdata, (now + STANDS, service))
            for target in each.targets:
                self._keep(self._names, target.lower(), service)
        told = [shown(each.rdata) for each in reply.answers if each.type in _ADDRESSES]
        return ", ".join(told) or "no address"

    def _keep(self, known: dict[Any, Any], key: object, value: object) -> None:
        """One more is known; the oldest one makes room."""
        if len(known) >= self._most:
            del known[next(iter(known))]
        known[key] = value

    def _to(self, end: End, protocol: int, now: int) -> str | None:
        """What is said of a packet of which no flow is known, by one of its ends."""
        address, port = end
        until, service = self._told.get(address, (0, None))
        if service is not None and now < until and service.meets(protocol, port):
            return f"by name {service.name}: no flow of it is known"
        if address in self._wanted.addresses:
            if self._wanted.is_whole:
                return "of the host: no flow of it is known"
            for each in self._wanted.services:
                if each.meets(protocol, port):
                    return f"to what {each.name} leads to: no flow of it is known"
        return None


@attrs.define
class Held(Generic[T]):
    """Packets that wait a moment, since the gateway tells of a flow after its first packet was seen; by their time."""

    most: int
    """So many wait at most: for more, the oldest ones have waited long enough."""
    _heap: list[tuple[int, int, T]] = attrs.Factory(list)
    _count: Iterator[int] = attrs.Factory(count)

    def put(self, time: int, value: T) -> None:
        """One more."""
        heapq.heappush(self._heap, (time, next(self._count), value))

    def due(self, until: float) -> Iterator[T]:
        """Those of a time before this one, and those that are too many; the oldest first."""
        while self._heap and (len(self._heap) > self.most or self._heap[0][0] < until):
            yield heapq.heappop(self._heap)[2]


def addresses_of(host: Answer) -> frozenset[bytes]:
    """Those of a host, as `subscribers/show` tells it."""
    return frozenset(end[0] for key in ("address", "address6") if (end := _end(host[key], 0)) is not None)


def services_of(host: Answer, name: str | None) -> tuple[Service, ...]:
    """Those of a host, or the one of that name."""
    found = (Service(each["name"], each["protocol"], each["port"], each["proxy_required"]) for each in host["services"])
    return tuple(each for each in found if name is None or each.name == name)


def _end(address: str | None, port: int | None) -> End | None:
    return None if address is None else (ip_address(address).packed, port or 0)
