"""Octets built before for the fast path: how answers end that are the same for whoever asks.

What is said is what the full path says (`Decisions.response`), put into its form once and remembered. Only answers are
built that are the same by UDP and by TCP, since they fit into `MIN_UDP_SIZE` with every OPT record of ours.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Container

import attrs

from realmgw.dns.codec.message import MAX_MESSAGE, Response, encode
from realmgw.dns.codec.names import ancestors
from realmgw.dns.codec.wire import IN, MIN_UDP_SIZE, QUESTION, Query, Type
from realmgw.dns.counts import Count, kind_of
from realmgw.dns.decision import Decision, Decisions, Outcome
from realmgw.dns.zones import Authority, ZoneTable

OPT_MOST = 39  # octets, of our OPT record with a cookie
_A = int(Type.A)
_OTHER = 0  # stands for all types that a name has nothing of
_COUNTS = struct.Struct("!HHHH")
_HEADER_LENGTH = 12  # octets
_MOST_KINDS = 32
"""So many types of a name are found at the first look."""


@attrs.frozen
class Found:
    """What is said to a question, without an ID, flags, the question, and OPT. The response code is NOERROR."""

    counts: tuple[bytes, bytes]
    """The four counts, without an OPT record and with one."""
    ending: bytes
    """The records."""
    count: Count
    """What it counts as."""


def build(name: bytes, kind: int, response: Response, udp_size: int) -> Found | None:
    """The form of a response to a question; None if it may be too long for some."""
    query = Query(b"\0\0", 0, name + QUESTION.pack(kind, IN), name, kind, IN)
    whole = encode(query, response, MAX_MESSAGE, udp_size)
    if len(whole) + OPT_MOST > MIN_UDP_SIZE:
        return None
    sections = len(response.answers), len(response.authority), len(response.additional)
    counts = tuple(_COUNTS.pack(1, *sections[:2], sections[2] + with_opt) for with_opt in (0, 1))
    count = kind_of(response)
    return Found((counts[0], counts[1]), whole[_HEADER_LENGTH + len(query.question) :], count)


class StaticOctets:
    """Answers for the zones' own names and for services of the service pool, built when they are first asked for.

    Args:
        table: What there is.
        decisions: What the full path says.
        udp_size: What our OPT record gives as the longest UDP message that we take.
    """

    def __init__(self, table: ZoneTable, decisions: Decisions, udp_size: int) -> None:
        self._table = table
        self._response = decisions.response
        self._udp_size = udp_size
        self._own: defaultdict[bytes, dict[int, Found | None]] = defaultdict(dict)
        self._addresses: dict[tuple[int, int], Found | None] = {}

    def find(self, name: bytes, kind: int, decision: Decision) -> Found | None:
        """What is said of a zone's own name, or of the addresses of a service; None if that may be too long for some.

        Args:
            name: The name: wire form, lower case.
            kind: The type asked for, none of `headers.LEFT`.
            decision: On that, `OWN` or `ADDRESSES`.
        """
        if decision[0] is Outcome.ADDRESSES:  # the same of all names that are so long: the owner points to the question
            like = kind, len(name)
            if like not in self._addresses:
                self._addresses[like] = self._build(name, kind, decision)
            return self._addresses[like]
        known = self._own[name]
        found = known.get(kind)
        if found is None and kind not in known:
            asked, its = kind, self._table.static[name]
            if kind not in its and kind not in (Type.ANY, Type.DS):
                kind = _OTHER  # all of these are answered alike, and there are some 65 000
            if kind not in known:
                known[kind] = self._build(name, kind or _other(its), decision)
            found = known[kind]
            if len(known) < _MOST_KINDS:
                known[asked] = found
        return found

    def _build(self, name: bytes, kind: int, decision: Decision) -> Found | None:
        return build(name, kind, self._response(name, kind, decision), self._udp_size)


def _other(its: Container[int]) -> int:
    """Some type that a name has nothing of."""
    return next(number for number in range(256, 65536) if number not in its)


class ZoneOctets:
    """How negative answers of a zone end.

    Args:
        zone: The zone.
        udp_size: What our OPT record gives as the longest UDP message that we take.

    Attributes:
        near: Names right below the apex in which those of the SOA lie.
        endings: What was built for others, by the length of the name asked for.
    """

    def __init__(self, zone: Authority, udp_size: int) -> None:
        self._zone = zone
        self._udp_size = udp_size
        self._own = {name for target in zone.soa.targets for name in _up_to(zone.apex, target)}
        self.near = tuple(name for name in self._own if name[1 + name[0] :] == zone.apex)
        self.endings: dict[int, bytes | None] = {}
        self._endings_near: dict[tuple[int, bytes], bytes | None] = {}

    def ending(self, name: bytes) -> bytes | None:
        """The SOA as it stands behind a question for a name (wire form, lower case) in the zone.

        It depends on the name's length, and on how much of the names in the SOA it ends with. None: too long.
        """
        if not name.endswith(self.near):
            if len(name) not in self.endings:
                self.endings[len(name)] = self._build(name)
            return self.endings[len(name)]
        key = len(name), next((each for each in ancestors(name) if each in self._own), b"")
        if key not in self._endings_near:
            self._endings_near[key] = self._build(name)
        return self._endings_near[key]

    def _build(self, name: bytes) -> bytes | None:
        found = build(name, _A, Response(authority=(self._zone.negative,)), self._udp_size)
        return None if found is None else found.ending


def _up_to(apex: bytes, name: bytes) -> list[bytes]:
    """A name and those above it, as far as they are below an apex; none if it is not itself."""
    above = ancestors(name)
    return above[: above.index(apex)] if apex in above else []
