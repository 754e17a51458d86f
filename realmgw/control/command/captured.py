"""Which packets are those of a name, a host or a flow, and what is said of each: pure.

The gateway tells of flows (conntrack's), of both sides of the translation, and of first packets: why they were refused,
and for which other name they were let in. What it tells nothing of is known by the addresses that DNS has answered
meanwhile, and by the host's own.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import count
from typing import Any, Generic, TypeVar

import attrs

from realmgw.config import protocols
from realmgw.control import between
from realmgw.control.command.shown import ENDS, Answer, end_of, why
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
Way = tuple[int, frozenset[End]]
"""Protocol, and both ends."""
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
    host: str = ""
    """The host's name."""
    is_whole: bool = True
    """Whatever the host sends and receives is meant, and not only what comes by its names."""
    ends: tuple[between.End, between.End] | None = None
    """Of the flow: the client, and where it comes to, on either side of the translation."""

    def is_flow(self, one: End, other: End) -> bool:
        """Whether it is a flow between two ends that is meant."""
        pairs = () if self.ends is None else (self.ends, self.ends[::-1])
        return any(between.is_at(first, *one) and between.is_at(second, *other) for first, second in pairs)


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
        self._ours = frozenset((wanted.host, *(each.name for each in wanted.services)))
        self._flows: dict[Way, str] = {}
        self._refused: dict[tuple[int, frozenset[End] | End], str] = {}
        self._begun: dict[Way, bool] = {}
        self._told: dict[bytes, tuple[int, Service]] = {}

    def hear(self, row: Answer) -> None:
        """The gateway tells of a flow, as `flows/list` and `flows/watch` do; of a decision, as `log`; of what else."""
        if row.get("what") in ("refused", "admitted"):
            self._decided(row)
        elif "what" not in row and "client" in row:
            self._flow(row)

    def _decided(self, row: Answer) -> None:
        """A first packet was refused, or let in; a flow of its that is told is known better."""
        protocol = _protocol(row)
        source, destination = _end(row["source"], row["source_port"]), _end(row["destination"], row["port"])
        if source is None or destination is None:
            return
        way = protocol, frozenset((source, destination))
        if row["what"] == "refused":
            # A rule of a host has met the packet behind the translation: of what came to us only the sender is known.
            is_behind = destination[0] in self._wanted.addresses
            self._keep(self._refused, (protocol, source) if is_behind else way, f"refused: {why(row)}")
        elif self._wanted.ends is None and row["name"] not in self._ours and way not in self._flows:
            self._keep(self._flows, way, "")

    def _flow(self, row: Answer) -> None:
        text, client = self._text(row), _end(row["client"], row["client_port"])
        inside, outside = _end(row["address"], row["port"]), _end(row["via"], row["via_port"])
        ways = [(client, end) for end in (inside, outside) if end is not None and client is not None]
        if self._wanted.ends is not None and not any(self._wanted.is_flow(*way) for way in ways):
            return
        for way in ways:
            self._keep(self._flows, (_protocol(row), frozenset(way)), text)

    def comment(self, seen: Seen, now: int) -> str | None:
        """What is said of a packet; None: it is not meant.

        Args:
            seen: It.
            now: When it came, in nanoseconds.
        """
        headers = seen.headers
        one, other = (headers.source, headers.sport or 0), (headers.destination, headers.dport or 0)
        way = headers.protocol, frozenset((one, other))
        flow = self._flows.get(way)
        if flow is not None:
            return flow or None
        if seen.about is not None and (said := self.comment(seen.about, now)) is not None:
            return f"about: {said}"
        if self._wanted.ends is not None:
            return self._unknown(way, one, "no flow is known") if self._wanted.is_flow(one, other) else None
        if DNS in (headers.sport, headers.dport) and (said := self._asked(seen.payload, now)):
            return said
        if headers.protocol == protocols.TCP and "syn" in (flags := headers.more.split()) and "ack" not in flags:
            self._keep(self._begun, way, True)
        if seen.is_of_link and not self._wanted.is_whole:
            return None
        return self._to(other, way, one, now) or self._to(one, way, other, now)

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

    def _to(self, end: End, way: Way, sender: End, now: int) -> str | None:
        """What is said of a packet of which no flow is known, by one of its ends.

        An address that was told for a name may have flows of others, from before: those of TCP are known by their
        beginning, which was not seen.
        """
        address, port = end
        until, service = self._told.get(address, (0, None))
        if service is not None and now < until and service.meets(way[0], port):
            if said := self._unknown(way, sender, ""):
                return f"by name {service.name}: {said}"
            if way[0] == protocols.TCP and way not in self._begun:
                return None
            return f"by name {service.name}: no flow of it is known"
        if address in self._wanted.addresses:
            if self._wanted.is_whole:
                return f"of the host: {self._unknown(way, sender, 'no flow of it is known')}"
            for each in self._wanted.services:
                if each.meets(way[0], port):
                    return f"to what {each.name} leads to: {self._unknown(way, sender, 'no flow of it is known')}"
        return None

    def _unknown(self, way: Way, sender: End, otherwise: str) -> str:
        """Why there is no flow of it, if that was told."""
        return self._refused.get(way) or self._refused.get((way[0], sender)) or otherwise


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


def _protocol(row: Answer) -> int:
    return protocols.PROTOCOLS.get(row["protocol"]) or int(row["protocol"])
