"""Octets prepared for the fast path: how answers end that are the same for whoever asks.

What is said is what the full path says (`Answers.respond`), put into its form once and remembered. Only answers are
prepared that are the same by UDP and by TCP, since they fit into `MIN_UDP_SIZE` with every OPT record of ours.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container

import attrs

from realmgw.dns.answers import kind_of
from realmgw.dns.codec.message import MAX_MESSAGE, Response, encode
from realmgw.dns.codec.names import ancestors
from realmgw.dns.codec.wire import IN, MIN_UDP_SIZE, Query, Type
from realmgw.dns.counts import Count
from realmgw.dns.fastpath.usual import A_IN
from realmgw.dns.zones import Authority, ZoneTable
from realmgw.subscribers.model import Service

OPT_MOST = 39  # octets, of our OPT record with a cookie
LEFT = frozenset(kind.to_bytes(2, "big") for kind in (Type.OPT, Type.TSIG, Type.NXNAME, Type.AXFR, Type.IXFR))
"""Types that are never usual."""

_ANY, _DS = (kind.to_bytes(2, "big") for kind in (Type.ANY, Type.DS))
_OTHER = b""  # stands for all types that a name has nothing of
_COUNTS = struct.Struct("!HHHH")
_HEADER_LENGTH = 12  # octets
_MOST_KINDS = 32
"""So many types of a name are found at the first look."""

Respond = Callable[[Query, Authority, Service | None], Response]
"""What is said to a query of a name in a zone, which may be a service's."""


@attrs.frozen
class Found:
    """What is said to a question, without an ID, flags, the question, and OPT. The response code is NOERROR."""

    counts: tuple[bytes, bytes]
    """The four counts, without an OPT record and with one."""
    ending: bytes
    """The records."""
    count: Count
    """What it counts as."""


def prepare(query: Query, response: Response, udp_size: int) -> Found | None:
    """The form of a response; None if it may be too long for some."""
    whole = encode(query, response, MAX_MESSAGE, udp_size)
    if len(whole) + OPT_MOST > MIN_UDP_SIZE:
        return None
    sections = len(response.answers), len(response.authority), len(response.additional)
    counts = tuple(_COUNTS.pack(1, *sections[:2], sections[2] + with_opt) for with_opt in (0, 1))
    count = kind_of(response)
    return Found((counts[0], counts[1]), whole[_HEADER_LENGTH + len(query.question) :], count)


def _query(name: bytes, kind: bytes) -> Query:
    return Query(b"\0\0", 0, name + kind + A_IN[2:], name, int.from_bytes(kind, "big"), IN)


class StaticOctets:
    """Answers for the zones' own names and for services of the service pool, prepared when they are first asked for.

    Args:
        table: What there is.
        respond: What the full path says.
        udp_size: What our OPT record gives as the longest UDP message that we take.
    """

    def __init__(self, table: ZoneTable, respond: Respond, udp_size: int) -> None:
        self._table = table
        self._respond = respond
        self._udp_size = udp_size
        self._own: dict[bytes, dict[bytes, Found | None]] = {name: {} for name in table.static}
        self._pooled: dict[bytes, Found | None] = {}

    def own(self, name: bytes, kind: bytes) -> Found | None:
        """What is said of a zone's own name; None if that is not prepared.

        Args:
            name: One of `ZoneTable.static`.
            kind: The type asked for, two octets, none of `LEFT`.
        """
        known = self._own[name]
        found = known.get(kind)
        if found is None and kind not in known:
            asked, its = kind, self._table.static[name]
            if int.from_bytes(kind, "big") not in its and kind not in (_ANY, _DS):
                kind = _OTHER  # all of these are answered alike, and there are some 65 000
            if kind not in known:
                known[kind] = self._make(name, kind or _other(its), None)
            found = known[kind]
            if len(known) < _MOST_KINDS:
                known[asked] = found
        return found

    def pooled(self, name: bytes, kind: bytes, service: Service) -> Found | None:
        """What is said of the addresses of a service that is reached by the service pool.

        The answer is the same for all of them, since its owner is a pointer to the question. None: there are no such
        addresses, or it is not prepared.

        Args:
            name: The name: wire form, lower case.
            kind: A or AAAA.
            service: What has it.
        """
        if kind not in self._pooled:
            made = self._make(name, kind, service)
            self._pooled[kind] = made if made is not None and made.count is Count.ADDRESSES else None
        return self._pooled[kind]

    def _make(self, name: bytes, kind: bytes, service: Service | None) -> Found | None:
        zone = self._table.zones.of(name)
        query = _query(name, kind)
        return None if zone is None else prepare(query, self._respond(query, zone, service), self._udp_size)


def _other(its: Container[int]) -> bytes:
    """Some type that a name has nothing of."""
    number = next(number for number in range(256, 65536) if number not in its)
    return number.to_bytes(2, "big")


class ZoneOctets:
    """How negative answers of a zone end.

    Args:
        zone: The zone.
        udp_size: What our OPT record gives as the longest UDP message that we take.
    """

    def __init__(self, zone: Authority, udp_size: int) -> None:
        self._zone = zone
        self._udp_size = udp_size
        self._own = {name for target in zone.soa.targets for name in _up_to(zone.apex, target)}
        self._below_apex = frozenset(name for name in self._own if name[1 + name[0] :] == zone.apex)
        self._endings: dict[int, bytes | None] = {}
        self._near: dict[tuple[int, bytes], bytes | None] = {}

    def ending(self, name: bytes, above: int) -> bytes | None:
        """The SOA as it stands behind a question for a name.

        It depends on the name's length, and on how much of the names in the SOA it ends with. None: too long.

        Args:
            name: The name: wire form, lower case.
            above: Where in it the label right below the apex begins.
        """
        if name[above:] in self._below_apex:
            return self._ending_near(name)
        length = len(name)
        ending = self._endings.get(length)
        if ending is None and length not in self._endings:
            ending = self._endings[length] = self._make(name)
        return ending

    def _ending_near(self, name: bytes) -> bytes | None:
        shared = next(each for each in ancestors(name) if each in self._own)
        key = len(name), shared
        if key not in self._near:
            self._near[key] = self._make(name)
        return self._near[key]

    def _make(self, name: bytes) -> bytes | None:
        found = prepare(_query(name, A_IN[:2]), Response(authority=(self._zone.negative,)), self._udp_size)
        return None if found is None else found.ending


def _up_to(apex: bytes, name: bytes) -> list[bytes]:
    """A name and those above it, as far as they are below an apex; none if it is not itself."""
    above = ancestors(name)
    return above[: above.index(apex)] if apex in above else []
